# Packages verilog/ as an IP in ip/.

proc eftrain::package_ip {} {
    global settings
    create_project -force -part $settings(part) package_ip project/package_ip
    add_files -norecurse $settings(sources)
    set_property top $settings(top) [current_fileset]
    update_compile_order -fileset sources_1
    lassign [split $settings(vlnv) :] vendor library name version
    ipx::package_project -root_dir ip -vendor $vendor -library $library -taxonomy /UserIP -import_files -force
    set core [ipx::current_core]
    set_property name $name $core
    set_property version $version $core
    set_property display_name "eftrain-hdl accelerator" $core
    set_property description "Trains convolutional networks: $settings(summary)" $core
    set_property supported_families [list $settings(supported_family) Production] $core

    require_interfaces $core
    describe_clock $core
    describe_addresses $core

    ipx::create_xgui_files $core
    ipx::update_checksums $core
    ipx::check_integrity $core
    ipx::save_core $core
    close_project
}

# Vivado leaves out, without a word, an interface whose ports it does not recognise.
proc eftrain::require_interfaces {core} {
    global settings
    foreach name $settings(interfaces) {
        if {[llength [ipx::get_bus_interfaces -quiet $name -of_objects $core]] != 1} {
            error "Vivado did not find the interface $name among the ports of $settings(top)"
        }
    }
}

proc eftrain::describe_clock {core} {
    global settings
    set clock [ipx::get_bus_interfaces aclk -of_objects $core]
    set_bus_parameter $clock ASSOCIATED_BUSIF [join [concat s_axi_ctrl $settings(memory_interfaces)] :]
    set_bus_parameter $clock ASSOCIATED_RESET aresetn
    # A frequency of the IP would have to be that of every block design it is put into.
    foreach name $settings(interfaces) {
        set interface [ipx::get_bus_interfaces $name -of_objects $core]
        if {[llength [ipx::get_bus_parameters -quiet FREQ_HZ -of_objects $interface]]} {
            ipx::remove_bus_parameter FREQ_HZ $interface
        }
    }
    set_property ipi_drc {ignore_freq_hz true} $core
    set_property value_resolve_type user [ipx::get_bus_parameters -of_objects [ipx::get_bus_interfaces -of_objects $core]]
}

proc eftrain::set_bus_parameter {interface name value} {
    set parameter [ipx::get_bus_parameters -quiet $name -of_objects $interface]
    if {![llength $parameter]} {
        set parameter [ipx::add_bus_parameter $name $interface]
    }
    set_property value $value $parameter
}

# What Vivado infers can have apertures of 64 KB or 4 GB, which keep the DRAM's windows from being assigned.
proc eftrain::describe_addresses {core} {
    global settings
    foreach space [ipx::get_address_spaces -quiet -of_objects $core] {
        ipx::remove_address_space [get_property name $space] $core
    }
    foreach name $settings(memory_interfaces) {
        set space [ipx::add_address_space $name $core]
        set_property range [expr {1 << $settings(address_bits)}] $space
        set_property width $settings(data_bits) $space
        set_property master_address_space_ref $name [ipx::get_bus_interfaces $name -of_objects $core]
    }
    foreach map [ipx::get_memory_maps -quiet -of_objects $core] {
        ipx::remove_memory_map [get_property name $map] $core
    }
    set block [ipx::add_address_block reg0 [ipx::add_memory_map s_axi_ctrl $core]]
    set_property range $settings(registers_range) $block
    set_property width 32 $block
    set_property usage register $block
    set_property slave_memory_map_ref s_axi_ctrl [ipx::get_bus_interfaces s_axi_ctrl -of_objects $core]
}
