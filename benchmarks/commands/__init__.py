"""The commands `benchmarks ...`, one module each; `benchmarks.cli` imports them by name when they are called."""
