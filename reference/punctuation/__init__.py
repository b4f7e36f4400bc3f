"""Training of the tagger that writes marks and capitals."""
