"""Measures: word errors, their intervals and verdicts, frame errors, the criterion, staleness."""
