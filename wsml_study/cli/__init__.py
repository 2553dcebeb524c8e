"""The command line: a command parses, calls one function, prints. A module per group of commands.

Commands import the rest of the package when they are called, so that `--help` and `check` start without torch and ray.
"""

from wsml_study.cli.entry import main

__all__ = ["main"]
