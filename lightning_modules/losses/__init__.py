"""Losses as pure functions with their equation numbers."""
