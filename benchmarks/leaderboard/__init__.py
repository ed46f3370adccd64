"""Leaderboard: records and published numbers as rankings, and every output that is made of them."""
