"""Data sets and the clip contract that every model speaks."""
