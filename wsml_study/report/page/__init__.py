"""The report as one HTML file: its contents, its template, its looks."""
