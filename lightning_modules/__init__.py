"""The systems of the four papers and the parts they are made of."""
