"""Kinds of audio files and their parts, found without decoding: what a decoder would read in full, or not at all."""
