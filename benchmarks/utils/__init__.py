"""Helpers that every other package of the benchmark may import; they import none of them."""
