"""Hold the templates of the report's pages: HTML, style, script."""
