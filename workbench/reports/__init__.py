"""Reports on runs and sweeps as HTML pages, Markdown, CSV and notebooks."""
