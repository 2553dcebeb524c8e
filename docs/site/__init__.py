"""Builds the documentation site from docs/, the command line, the schema, the records and the docstrings."""
