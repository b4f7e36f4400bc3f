"""Programs that print figures of the documents; not part of the command line."""
