"""What keeps files whole: names that no crash leaves for good, folders replaced in one step, and a synced disk."""
