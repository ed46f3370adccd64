"""The board: records and published numbers as rankings, and every output that is written of them."""
