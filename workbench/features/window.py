"""The window of the network's input; it lives below the store, which gathers it (``workbench.corpus.frames.window``)."""

from workbench.corpus.frames.window import (
    LEFT,
    MEL,
    RIGHT,
    SPAN,
    WINDOW,
    gather_windows,
    utterance_windows,
    window_index,
)

__all__ = [
    "LEFT",
    "MEL",
    "RIGHT",
    "SPAN",
    "WINDOW",
    "gather_windows",
    "utterance_windows",
    "window_index",
]
