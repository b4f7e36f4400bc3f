"""Phrases of a grammar, scored exactly on whole segments."""
