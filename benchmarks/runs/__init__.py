"""Runs: every row of a benchmark with every seed, trained, evaluated and filed."""
