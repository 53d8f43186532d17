# The processing system of a Zynq-7000.

namespace eval eftrain::ps {
    variable ip xilinx.com:ip:processing_system7

    proc configure {cell ports data_bits clock_mhz} {
        apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
            -config {make_external "FIXED_IO, DDR" apply_board_preset 1 Master Disable Slave Disable} $cell
        # Presets enable register ports that would be left without a clock.
        set properties [list \
            CONFIG.PCW_USE_M_AXI_GP0 1 CONFIG.PCW_USE_M_AXI_GP1 0 \
            CONFIG.PCW_USE_FABRIC_INTERRUPT 1 CONFIG.PCW_IRQ_F2P_INTR 1 \
            CONFIG.PCW_EN_CLK0_PORT 1 CONFIG.PCW_EN_RST0_PORT 1 CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $clock_mhz]
        foreach port $ports {
            lappend properties CONFIG.PCW_USE_S_AXI_HP$port 1 CONFIG.PCW_S_AXI_HP${port}_DATA_WIDTH $data_bits
        }
        set_property -dict $properties $cell
    }

    proc clock {} { return FCLK_CLK0 }
    proc reset {} { return FCLK_RESET0_N }
    proc interrupt {} { return IRQ_F2P }
    proc register_port {} { return M_AXI_GP0 }
    proc register_clock {} { return M_AXI_GP0_ACLK }
    proc memory_port {port} { return S_AXI_HP$port }
    proc memory_clock {port} { return S_AXI_HP${port}_ACLK }
    proc memory_segments {port} { return S_AXI_HP$port }
    proc actual_clock {cell} { return [get_property CONFIG.PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ $cell] }
}
