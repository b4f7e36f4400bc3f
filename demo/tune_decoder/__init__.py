"""Searches for the best language model weights and beam width on a manifest, and compares decoders."""
