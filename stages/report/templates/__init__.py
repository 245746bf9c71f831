"""Hold the templates of the report's pages: HTML, style, and the parts of one script."""
