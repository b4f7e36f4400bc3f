"""Adaptation of a trained model to one voice, from a few minutes of its recordings."""
