"""Questions to the board, one file each. A probe returns measurements; "this board has none" is None, not a failure."""
