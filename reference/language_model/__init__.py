"""Builds and measures n-gram language models; needs no torch."""
