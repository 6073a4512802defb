"""The window of the network's input; it lives below the store, which gathers it (``workbench.corpus.window``)."""

from workbench.corpus.window import LEFT, MEL, RIGHT, SPAN, WINDOW, gather_windows, utterance_windows, window_index

__all__ = ["LEFT", "MEL", "RIGHT", "SPAN", "WINDOW", "gather_windows", "utterance_windows", "window_index"]
