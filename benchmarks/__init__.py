"""Benchmarks: tasks, metrics, evaluation, records, leaderboard and the commands."""
