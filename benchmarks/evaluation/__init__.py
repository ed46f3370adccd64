"""Evaluation: tasks and queries, the callback that runs them, and what it writes."""
