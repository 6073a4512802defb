"""Figures and tables of runs and sweeps, made from settings, stored rows and metrics."""
