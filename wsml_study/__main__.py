"""`python -m wsml_study`, for machines where the command itself is not on the path."""

from wsml_study.cli import main

main()
