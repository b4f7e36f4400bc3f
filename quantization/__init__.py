"""Smaller weights for a bundle, with proof."""
