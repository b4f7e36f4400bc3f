"""Fuzzing as a command: ``python -m tests.fuzz``; see ``docs/results/reliability.md`` for the figures."""
