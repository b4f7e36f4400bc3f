"""Prefix beam search for any CTC model: log-probabilities in, hypotheses out."""
