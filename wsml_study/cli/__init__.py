"""The command line: a command parses, calls one function, prints. A module per group of commands.

Imports of ours stand inside the commands, so that `--help` and `check` answer without torch and ray.
"""

from wsml_study.cli.entry import main

__all__ = ["main"]
