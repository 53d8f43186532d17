"""Makes the shared networks importable in whatever way the tests are started."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
