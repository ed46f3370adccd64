"""Launching: the jobs of a benchmark run at once on this machine, a SLURM cluster or a Ray cluster."""
