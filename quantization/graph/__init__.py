"""Graphs with float16, int8 or int4 weights, built from float32 ones."""
