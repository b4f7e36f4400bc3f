"""The training loop, its optimiser, its workers and its evaluation."""
