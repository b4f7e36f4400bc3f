"""Experiments on words that the language model should know: texts of the user, and hot words."""
