"""Callbacks that training and evaluation run with: budget, checkpoints, averaged weights, NaN guard, RNG state."""
