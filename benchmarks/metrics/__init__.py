"""Metrics: update, compute, and the direction in which better lies."""
