"""What keeps files whole: temporary names that no crash leaves for good, and a disk that has what was written."""
