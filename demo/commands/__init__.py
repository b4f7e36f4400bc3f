"""The commands of the command line, one module for each group. Only click is imported until a command runs."""
