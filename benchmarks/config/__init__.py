"""Configurations: reading and merging YAML, building what it names, and the errors of whoever wrote it."""
