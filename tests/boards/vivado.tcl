# Stands in for Vivado: records every command that Tcl itself does not have, and answers as Vivado would, as far as the
# build scripts look at the answers. A name that the real thing does not have (a pin, a cell, an address space) is an
# error here too.
#
#   tclsh vivado.tcl -mode batch -notrace -source SCRIPT [-tclargs ...]
#
# Environment: STANDIN_RECORD, the file to record to (fields end with \x1f, commands with \x1e); STANDIN_FAULTS, a
# dictionary of what goes wrong: progress {RUN PERCENT}, slack {PROPERTY NS}, no_interface NAME, no_board_files 1,
# no_ip NAME, no_segment NAME, no_handoff 1.

set record [open $env(STANDIN_RECORD) w]
fconfigure $record -translation lf -encoding utf-8
set faults [expr {[info exists env(STANDIN_FAULTS)] ? $env(STANDIN_FAULTS) : {}}]
set bit_written 0

proc fault {name} {
    return [expr {[dict exists $::faults $name] ? [dict get $::faults $name] : ""}]
}

proc unknown {args} {
    puts -nonewline $::record [join $args \x1f]\x1f\x1e
    flush $::record
    set name [lindex $args 0]
    set answer answer_[string map {:: _} $name]
    return [expr {[llength [info procs ::$answer]] ? [::$answer {*}[lrange $args 1 end]] : ""}]
}

# The arguments without options; those named in `valued` have a value.
proc operands {arguments {valued {}}} {
    set found {}
    for {set k 0} {$k < [llength $arguments]} {incr k} {
        set argument [lindex $arguments $k]
        if {[string match -* $argument]} {
            if {[string range $argument 1 end] in $valued} { incr k }
        } else {
            lappend found $argument
        }
    }
    return $found
}

proc option {arguments name} {
    set k [lsearch -exact $arguments -$name]
    return [expr {$k < 0 ? "" : [lindex $arguments [expr {$k + 1}]]}]
}

proc touch {path} {
    file mkdir [file dirname $path]
    close [open $path w]
}

# --- projects and catalogue

proc answer_current_project {} { return project }
proc answer_current_fileset {} { return sources_1 }
proc answer_version {args} { return 2023.2 }
proc answer_get_files {pattern} { return project/eftrain/eftrain.srcs/sources_1/bd/system/$pattern }

proc answer_get_ipdefs {args} {
    set name [string range [lindex [operands $args filter] 0] 0 end-2]
    if {$name eq [fault no_ip]} { return {} }
    return [list $name:1.9 $name:1.10]
}

proc answer_get_board_parts {args} {
    if {[fault no_board_files] ne ""} { return {} }
    set name [lindex [split [lindex [operands $args] 0] :] 1]
    return [list vendor.com:$name:part0:1.2 vendor.com:$name:part0:1.3]
}

# --- packaging

proc answer_ipx_current_core {} { return core }

proc answer_ipx_get_bus_interfaces {args} {
    set name [lindex [operands $args of_objects] 0]
    if {$name eq ""} { return {aclk aresetn interrupt s_axi_ctrl m_axi_0} }
    return [expr {$name eq [fault no_interface] ? "" : $name}]
}

# ASSOCIATED_BUSIF is left to the script, the others are there.
proc answer_ipx_get_bus_parameters {args} {
    set name [lindex [operands $args of_objects] 0]
    return [expr {$name eq "ASSOCIATED_BUSIF" ? "" : "[option $args of_objects]/$name"}]
}
proc answer_ipx_add_bus_parameter {name interface} { return $interface/$name }
proc answer_ipx_get_address_spaces {args} { return inferred_space }
proc answer_ipx_get_memory_maps {args} { return inferred_map }
proc answer_ipx_add_address_space {name core} { return space/$name }
proc answer_ipx_add_memory_map {name core} { return map/$name }
proc answer_ipx_add_address_block {name map} { return $map/$name }

# --- block design

# Pins and interfaces of the cells, by type (UG585, UG1085, PG247, PG164).
proc cell_names {vlnv} {
    switch -glob $vlnv {
        xilinx.com:ip:zynq_ultra_ps_e:* {
            set names {pl_clk0 pl_resetn0 pl_ps_irq0 M_AXI_HPM0_FPD maxihpm0_fpd_aclk}
            foreach port {0 1 2 3} { lappend names S_AXI_HP${port}_FPD saxihp${port}_fpd_aclk }
        }
        xilinx.com:ip:processing_system7:* {
            set names {FCLK_CLK0 FCLK_RESET0_N IRQ_F2P M_AXI_GP0 M_AXI_GP0_ACLK}
            foreach port {0 1 2 3} { lappend names S_AXI_HP$port S_AXI_HP${port}_ACLK }
        }
        xilinx.com:ip:smartconnect:* { set names {aclk aresetn S00_AXI M00_AXI} }
        xilinx.com:ip:proc_sys_reset:* {
            set names {slowest_sync_clk ext_reset_in interconnect_aresetn peripheral_aresetn}
        }
        eftrain-hdl:accelerator:eftrain:* {
            set names {aclk aresetn interrupt s_axi_ctrl m_axi_0 m_axi_1 m_axi_2 m_axi_3}
        }
        default { error "the catalogue has no $vlnv" }
    }
    return $names
}

proc answer_create_bd_cell {args} {
    set name [lindex [operands $args {type vlnv}] 0]
    set ::cells($name) [option $args vlnv]
    cell_names $::cells($name)
    return /$name
}

proc answer_get_bd_cells {name} {
    if {![info exists ::cells($name)]} { error "no cell $name" }
    return /$name
}

proc answer_get_bd_pins {path} {
    lassign [split $path /] cell pin
    if {![info exists ::cells($cell)] || $pin ni [cell_names $::cells($cell)]} { error "no pin $path" }
    return /$path
}
proc answer_get_bd_intf_pins {path} { return [answer_get_bd_pins $path] }

proc answer_get_bd_addr_spaces {path} {
    if {![regexp {^(ps/Data|accelerator/m_axi_\d)$} $path]} { error "no address space $path" }
    return /$path
}

proc answer_get_bd_addr_segs {args} {
    set space [option $args of_objects]
    if {$space ne ""} {
        return [lsort [array names ::mapped $space|*]]
    }
    set path [lindex $args 0]
    switch -regexp -matchvar part $path {
        {^ps/SAXIGP([2-5])/\*$} {
            set hp HP[expr {[lindex $part 1] - 2}]
            set names [list ${hp}_DDR_LOW ${hp}_DDR_HIGH ${hp}_LPS_OCM ${hp}_QSPI ${hp}_PCIE_LOW]
        }
        {^ps/S_AXI_(HP[0-3])/\*$} { set names [lindex $part 1]_DDR_LOWOCM }
        {^accelerator/s_axi_ctrl/reg0$} { return /$path }
        default { error "no address segment $path" }
    }
    return [lmap name $names {
        if {[string match *[fault no_segment] $name] && [fault no_segment] ne ""} { continue }
        string cat /[string range $path 0 end-1] $name
    }]
}

proc answer_assign_bd_address {args} {
    set segment [lindex [operands $args {offset range target_address_space}] 0]
    switch -glob $segment {
        *_DDR_LOW { set place {0x0000000000000000 2G} }
        *_DDR_HIGH { set place {0x0000000800000000 32G} }
        *_DDR_LOWOCM { set place {0x00000000 0x20000000} }
        default { set place [list [option $args offset] [option $args range]] }
    }
    set ::mapped([option $args target_address_space]|$segment) $place
}

proc answer_exclude_bd_addr_seg {args} {
    set segment [lindex [operands $args target_address_space] 0]
    set ::mapped([option $args target_address_space]|$segment) {{} {}}
}

proc answer_make_wrapper {args} {
    return project/eftrain/eftrain.gen/sources_1/bd/system/hdl/system_wrapper.v
}

proc answer_generate_target {what design} {
    if {[fault no_handoff] eq ""} {
        touch project/eftrain/eftrain.gen/sources_1/bd/system/hw_handoff/system.hwh
    }
}

# --- runs and reports

proc answer_get_runs {name} { return $name }

proc answer_launch_runs {run args} {
    if {[option $args to_step] eq "write_bitstream"} {
        set ::bit_written 1
        touch project/eftrain/eftrain.runs/impl_1/system_wrapper.bit
    }
}

proc answer_report_utilization {args} { touch [option $args file] }
proc answer_report_timing_summary {args} { touch [option $args file] }
proc answer_report_power {args} { touch [option $args file] }

proc answer_write_hw_platform {args} {
    if {!$::bit_written} { error "no bitstream to include" }
    touch [lindex [operands $args] 0]
}

proc answer_get_property {name object} {
    switch -glob $name {
        OFFSET { return [lindex $::mapped($object) 0] }
        RANGE { return [lindex $::mapped($object) 1] }
        PROGRESS {
            set progress [fault progress]
            return [expr {[dict exists $progress $object] ? [dict get $progress $object] : "100%"}]
        }
        STATUS { return "stand-in status" }
        STATS.* {
            set slack [fault slack]
            return [expr {[dict exists $slack $name] ? [dict get $slack $name] : 0.105}]
        }
        name { return $object }
        board_part { return vendor.com:board:part0:1.3 }
        CONFIG.PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ { return 187.498123 }
        CONFIG.PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ { return 100.000000 }
        default { error "the object $object has no property $name" }
    }
}

puts "stand-in for Vivado"
set source [option $argv source]
set split [lsearch -exact $argv -tclargs]
set argv [expr {$split < 0 ? {} : [lrange $argv $split+1 end]}]
source $source
