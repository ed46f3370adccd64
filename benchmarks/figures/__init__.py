"""The papers' figures, drawn from the rows of a benchmark."""
