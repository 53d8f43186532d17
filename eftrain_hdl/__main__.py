"""``python -m eftrain_hdl``: the same as ``eftrain``."""

import sys

from eftrain_hdl.cli import main

sys.exit(main())
