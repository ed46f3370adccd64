"""The exam: tasks, metrics, evaluation, records and the leaderboard."""
