"""What a person sees: tables, plots, the live view, panels and reports, all made from settings, store and metrics."""
