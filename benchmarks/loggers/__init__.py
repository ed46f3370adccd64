"""What a run writes of itself: progress, curves and records, for people, files and Weights & Biases."""
