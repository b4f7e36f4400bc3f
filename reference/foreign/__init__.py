"""Deep Speech 2 checkpoints of other projects: read without running their code, told by their tensors, and mapped."""
