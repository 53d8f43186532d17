# From Verilog to bitstream: packages the accelerator, makes the block design, implements it and writes, beside this
# script's folder, eftrain.bit, eftrain.hwh and eftrain.xsa (only if timing is met), reports/ and results.json.
#
#   vivado -mode batch -notrace -source tcl/build.tcl [-tclargs -jobs N -board_files DIRECTORY -until STEP]
#
# -jobs: processes of a run (2). -board_files: a folder with further board files. -until: bitstream, or block_design,
# which makes the project project/eftrain/eftrain.xpr with a valid block design, and leaves an earlier bitstream alone.
# Ends with a status other than 0 if anything fails; Vivado by itself does not for a failed run.

# A namespace of its own: Vivado has many commands.
namespace eval eftrain {}

set scripts [file dirname [file normalize [info script]]]
source [file join $scripts settings.tcl]
source [file join $scripts package_ip.tcl]
source [file join $scripts $settings(ps).tcl]
source [file join $scripts block_design.tcl]
source [file join $scripts implement.tcl]

proc eftrain::build {arguments} {
    array set options {-jobs 2 -board_files {} -until bitstream}
    foreach {name value} $arguments {
        if {![info exists options($name)]} {
            error "unknown option $name: there are -jobs, -board_files and -until"
        }
        set options($name) $value
    }
    if {$options(-until) ni {bitstream block_design}} {
        error "-until is bitstream or block_design, not $options(-until)"
    }
    file delete -force ip project
    if {$options(-until) eq "bitstream"} {
        file delete -force reports eftrain.bit eftrain.hwh eftrain.xsa results.json
    }
    package_ip
    open_project_of_board $options(-board_files)
    create_system
    if {$options(-until) eq "bitstream"} {
        implement_system $options(-jobs)
    }
}

cd [file dirname $scripts]
if {[catch {eftrain::build $argv} message failure]} {
    puts stderr "ERROR: $message"
    puts stderr [dict get $failure -errorinfo]
    exit 1
}
