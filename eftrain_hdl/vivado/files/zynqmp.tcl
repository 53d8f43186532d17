# The processing system of a Zynq UltraScale+. In the names of its parameters HP0 to HP3 are S_AXI_GP2 to S_AXI_GP5.

namespace eval eftrain::ps {
    variable ip xilinx.com:ip:zynq_ultra_ps_e

    proc configure {cell ports data_bits clock_mhz} {
        apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset 1} $cell
        # Presets enable register ports that would be left without a clock. The one that is used keeps the width that it
        # has after a reset, so that nothing has to set it on the board.
        set properties [list \
            CONFIG.PSU__USE__M_AXI_GP0 1 CONFIG.PSU__MAXIGP0__DATA_WIDTH 128 \
            CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 \
            CONFIG.PSU__USE__IRQ0 1 \
            CONFIG.PSU__FPGA_PL0_ENABLE 1 CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $clock_mhz]
        foreach port $ports {
            set number [expr {$port + 2}]
            lappend properties CONFIG.PSU__USE__S_AXI_GP$number 1 CONFIG.PSU__SAXIGP${number}__DATA_WIDTH $data_bits
        }
        set_property -dict $properties $cell
    }

    proc clock {} { return pl_clk0 }
    proc reset {} { return pl_resetn0 }
    proc interrupt {} { return pl_ps_irq0 }
    proc register_port {} { return M_AXI_HPM0_FPD }
    proc register_clock {} { return maxihpm0_fpd_aclk }
    proc memory_port {port} { return S_AXI_HP${port}_FPD }
    proc memory_clock {port} { return saxihp${port}_fpd_aclk }
    proc memory_segments {port} { return SAXIGP[expr {$port + 2}] }
    proc actual_clock {cell} { return [get_property CONFIG.PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ $cell] }
}
