"""Programs that print figures of the documents; they are not commands."""
