"""The prefix beam search over numpy arrays."""
