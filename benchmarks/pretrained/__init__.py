"""Pretrained networks that metrics need: which weights, where they come from, how they are read."""
