"""Chooses the weights of the search on a manifest, and compares decoders."""
