"""Measures: word errors and their significance, frame errors, the criterion, staleness."""
