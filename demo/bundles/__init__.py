"""Work of the commands that write and inspect bundles."""
