"""Text that people can read: marks, capitals and numbers, written by the words and pauses of finals."""
