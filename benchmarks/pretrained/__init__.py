"""Pretrained weights of the metrics' networks: which there are, where they come from, how they are read."""
