"""Builds and measures KenLM models. Needs no torch."""
