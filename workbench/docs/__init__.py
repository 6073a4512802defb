"""The documentation: pages in Markdown, and what renders them."""
