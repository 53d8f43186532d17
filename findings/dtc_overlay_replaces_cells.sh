#!/usr/bin/env bash
# Ground:    device tree overlays with dtc and fdtoverlay.
# Version:   dtc 1.6.1 (Debian 12's device-tree-compiler), taken from the system: no registry has it.
# Behaviour: #address-cells and #size-cells in the body of an overlay replace those of the base's node when it is applied,
#            without a warning. The base's own devices keep their bytes, which now say something else.
# Seen:      base with 2 and 2 cells, overlay with 1 and 1: serial@ff000000 is then said to be at address 0 with size
#            0xff000000, and again at address 0 with size 0x1000.
set -euo pipefail
command -v dtc fdtoverlay fdtget > /dev/null || { echo "needs dtc (Debian and Ubuntu: apt install device-tree-compiler)"; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
dtc --version
cat > base.dts <<'END'
/dts-v1/;
/ {
	#address-cells = <2>;
	#size-cells = <2>;
	serial@ff000000 { reg = <0 0xff000000 0 0x1000>; };
};
END
cat > overlay.dtso <<'END'
/dts-v1/;
/plugin/;
&{/} {
	#address-cells = <1>;
	#size-cells = <1>;
	device@40000000 { reg = <0x40000000 0x1000>; };
};
END
dtc -@ -I dts -O dtb -o base.dtb base.dts
dtc -@ -I dts -O dtb -o overlay.dtbo overlay.dtso
fdtoverlay -i base.dtb -o whole.dtb overlay.dtbo 2> messages.txt
before="$(fdtget base.dtb / '#address-cells') $(fdtget base.dtb / '#size-cells')"
after="$(fdtget whole.dtb / '#address-cells') $(fdtget whole.dtb / '#size-cells')"
reg=$(fdtget -t x whole.dtb /serial@ff000000 reg)
echo "cells before: $before; after: $after; fdtoverlay said: '$(cat messages.txt)'; reg of the serial port: $reg"
[[ $before == "2 2" && $after == "1 1" && ! -s messages.txt && $reg == "0 ff000000 0 1000" ]]
echo "as described"
