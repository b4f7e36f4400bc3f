"""Many recordings by many workers: processes of this machine or of a Ray cluster, and a record that can be resumed."""
