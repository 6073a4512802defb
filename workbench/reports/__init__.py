"""Reports on runs and sweeps: HTML pages, Markdown, CSV and notebooks."""
