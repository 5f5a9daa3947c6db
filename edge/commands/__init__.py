"""One file for each verb of the command line. Each has `HELP`, `add_arguments` and `run`, which returns the exit code.

Results go to stdout, messages to stderr. No command prints a plate unless a flag asks for it, and that is logged.
"""
