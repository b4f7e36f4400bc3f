"""Rewrite float32 graphs with float16, int8 or int4 weights."""
