"""Runs over months: listed, searched, compared, annotated, packed, opened and deleted."""
