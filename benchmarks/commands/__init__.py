"""The commands `benchmarks ...` that train nothing, one module each with what it alone needs."""
