"""Deep Speech 2 in torch, and its checkpoints."""
