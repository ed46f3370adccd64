"""Feature extractors of metrics: pretrained networks and hand-made features."""
