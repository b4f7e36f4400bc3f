"""Export, describe and verify bundles for the commands."""
