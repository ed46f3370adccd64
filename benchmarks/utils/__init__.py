"""What every other package of the benchmark may use and that uses none of them."""
