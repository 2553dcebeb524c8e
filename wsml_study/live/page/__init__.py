"""Files of the live page: markup, style, script."""
