"""AXI4 managers, arbiters and the AXI4-Lite register bank."""
