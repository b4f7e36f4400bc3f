"""What training data from an archive is like: recordings whose truth is known, labels, other aligners, models."""
