"""Recordings to text: what is asked for, which files that means, the text in every format, and the run through them."""
