# The block design "system": processing system, accelerator, and what joins them.

# Opens the project of the board: the preset of the processing system comes with the board's files.
proc eftrain::open_project_of_board {board_files} {
    global settings
    if {$board_files ne ""} {
        set_param board.repoPaths [list [file normalize $board_files]]
    }
    create_project -force -part $settings(part) eftrain project/eftrain
    # The names change with Vivado's year and the vendor's: the newest that fits is taken.
    set found [lindex [lsort -dictionary [get_board_parts -quiet -latest_file_version $settings(board_part)]] end]
    if {$found eq ""} {
        error "this Vivado has no board files that match $settings(board_part) ($settings(title)):\
            install them from its board store, or name their folder with -board_files"
    }
    set_property board_part $found [current_project]
    set_property target_language Verilog [current_project]
    set_property ip_repo_paths [file normalize ip] [current_project]
    update_ip_catalog -rebuild
}

proc eftrain::newest_ip {name} {
    set found [lindex [lsort -dictionary [get_ipdefs -filter {UPGRADE_VERSIONS == ""} $name:*]] end]
    if {$found eq ""} {
        error "this Vivado has no IP called $name"
    }
    return $found
}

proc eftrain::create_system {} {
    global settings
    create_bd_design system
    create_bd_cell -type ip -vlnv [newest_ip $ps::ip] ps
    ps::configure [get_bd_cells ps] [dict values $settings(memory_ports)] $settings(data_bits) $settings(clock_mhz)
    # What the dividers give: a driver must know.
    set settings(actual_clock_mhz) [ps::actual_clock [get_bd_cells ps]]
    create_bd_cell -type ip -vlnv $settings(vlnv) accelerator
    create_bd_cell -type ip -vlnv [newest_ip xilinx.com:ip:proc_sys_reset] reset
    connect_bd_net [get_bd_pins ps/[ps::clock]] \
        [get_bd_pins accelerator/aclk] [get_bd_pins reset/slowest_sync_clk] [get_bd_pins ps/[ps::register_clock]]
    connect_bd_net [get_bd_pins ps/[ps::reset]] [get_bd_pins reset/ext_reset_in]
    connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins accelerator/aresetn]
    connect_bd_net [get_bd_pins accelerator/interrupt] [get_bd_pins ps/[ps::interrupt]]

    join_by_smartconnect registers ps/[ps::register_port] accelerator/s_axi_ctrl
    dict for {interface port} $settings(memory_ports) {
        connect_bd_net [get_bd_pins ps/[ps::clock]] [get_bd_pins ps/[ps::memory_clock $port]]
        join_by_smartconnect memory_$interface accelerator/$interface ps/[ps::memory_port $port]
    }

    assign_registers
    dict for {interface port} $settings(memory_ports) {
        assign_memory $interface $port
    }
    validate_bd_design
    save_bd_design
    add_system_wrapper
}

# One SmartConnect for each pair: it adapts widths and protocol, and no port waits for another.
proc eftrain::join_by_smartconnect {name manager subordinate} {
    create_bd_cell -type ip -vlnv [newest_ip xilinx.com:ip:smartconnect] $name
    set_property -dict {CONFIG.NUM_SI 1 CONFIG.NUM_MI 1} [get_bd_cells $name]
    connect_bd_net [get_bd_pins ps/[ps::clock]] [get_bd_pins $name/aclk]
    connect_bd_net [get_bd_pins reset/interconnect_aresetn] [get_bd_pins $name/aresetn]
    connect_bd_intf_net [get_bd_intf_pins $manager] [get_bd_intf_pins $name/S00_AXI]
    connect_bd_intf_net [get_bd_intf_pins $name/M00_AXI] [get_bd_intf_pins $subordinate]
}

proc eftrain::assign_registers {} {
    global settings
    assign_bd_address -offset $settings(registers_base) -range $settings(registers_range) \
        -target_address_space [get_bd_addr_spaces ps/Data] [get_bd_addr_segs accelerator/s_axi_ctrl/reg0]
}

# DRAM is all that a memory port shall reach: not the on-chip memory, nor flash, nor PCIe.
proc eftrain::assign_memory {interface port} {
    global settings
    set space [get_bd_addr_spaces accelerator/$interface]
    foreach segment [get_bd_addr_segs ps/[ps::memory_segments $port]/*] {
        if {[string match *_DDR_* $segment]} {
            assign_bd_address -target_address_space $space $segment
        } else {
            exclude_bd_addr_seg -target_address_space $space $segment
        }
    }
    set mapped [get_bd_addr_segs -of_objects $space]
    foreach {base size} $settings(dram_windows) {
        if {![covered $mapped $base $size]} {
            error "$interface does not reach the DRAM's [format {%#x bytes at %#x} $size $base]"
        }
    }
}

proc eftrain::covered {segments base size} {
    foreach segment $segments {
        set offset [number_of [get_property OFFSET $segment]]
        if {$offset ne "" && $offset <= $base && $base + $size <= $offset + [number_of [get_property RANGE $segment]]} {
            return 1
        }
    }
    return 0
}

# Vivado writes sizes as 0x80000000 or as 2G.
proc eftrain::number_of {text} {
    set power [string first [string index $text end] KMGTPE]
    if {$power < 0 || [string match 0x* $text]} {
        return $text
    }
    return [expr {[string range $text 0 end-1] << 10 * ($power + 1)}]
}

proc eftrain::add_system_wrapper {} {
    set design [get_files system.bd]
    add_files -norecurse [make_wrapper -files $design -top]
    set_property top system_wrapper [current_fileset]
    set_property synth_checkpoint_mode None $design
    generate_target all $design
    update_compile_order -fileset sources_1
}
