"""Networks, one file per paper, and the parts they share; they know no training."""
