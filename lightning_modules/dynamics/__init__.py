"""Flows of latent states: a code and a list of times in, the states at those times out."""
