# Runs synthesis and implementation and hands out what a board needs.

proc eftrain::implement_system {jobs} {
    global settings
    file mkdir reports
    launch_runs synth_1 -jobs $jobs
    finish synth_1
    launch_runs impl_1 -jobs $jobs
    finish impl_1
    report_implementation
    require_timing
    launch_runs impl_1 -to_step write_bitstream -jobs $jobs
    finish impl_1
    collect
}

# Vivado goes on after a failed run as if nothing had happened.
proc eftrain::finish {run} {
    wait_on_run $run
    set progress [get_property PROGRESS [get_runs $run]]
    if {$progress ne "100%"} {
        error "$run stopped at $progress ([get_property STATUS [get_runs $run]]): see project/eftrain/eftrain.runs/$run"
    }
}

proc eftrain::report_implementation {} {
    open_run impl_1
    report_utilization -file reports/utilization.rpt
    report_utilization -hierarchical -file reports/utilization_hierarchical.rpt
    report_timing_summary -file reports/timing.rpt
    report_power -file reports/power.rpt
    close_design
}

proc eftrain::require_timing {} {
    global settings
    set run [get_runs impl_1]
    foreach {property what} {STATS.WNS setup STATS.WHS hold} {
        set slack [get_property $property $run]
        if {![string is double -strict $slack]} {
            error "Vivado gives no slack for $what ($property is \"$slack\")"
        }
        if {$slack < 0} {
            error "timing is not met at $settings(clock_mhz) MHz: slack for $what is $slack ns;\
                see reports/timing.rpt, and build with a lower --clock"
        }
    }
}

# PYNQ wants .bit and .hwh side by side under one name; an .xsa has both in it.
proc eftrain::collect {} {
    # Before Vivado 2020.2 it was in .srcs.
    set handoff [glob -nocomplain project/eftrain/eftrain.{gen,srcs}/sources_1/bd/system/hw_handoff/system.hwh]
    if {![llength $handoff]} {
        error "Vivado wrote no hardware description (system.hwh)"
    }
    file copy [lindex $handoff 0] eftrain.hwh
    file copy project/eftrain/eftrain.runs/impl_1/system_wrapper.bit eftrain.bit
    write_hw_platform -fixed -include_bit -force eftrain.xsa
    write_results
}

proc eftrain::write_results {} {
    global settings
    set run [get_runs impl_1]
    set file [open results.json w]
    puts $file [format {{"vivado": "%s", "board_part": "%s", "clock_mhz": %s, "setup_slack_ns": %s, "hold_slack_ns": %s}} \
        [version -short] [get_property board_part [current_project]] $settings(actual_clock_mhz) \
        [get_property STATS.WNS $run] [get_property STATS.WHS $run]]
    close $file
}
