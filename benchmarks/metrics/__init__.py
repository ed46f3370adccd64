"""Metrics: each an update, a compute and the direction in which better lies."""
