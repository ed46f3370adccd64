"""`benchmarks sample`: predict, slow down, inbetween, generate, recombine."""
