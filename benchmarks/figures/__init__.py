"""The papers' figures, plotted from the rows of a benchmark."""
