"""The report as one HTML file: its contents, template and style."""
