"""Corpora: reading, checking and splitting them, making them, and the store of frames for
training.
"""

from workbench.corpus.utterances import DataSet, SetAside, Utterance

__all__ = ["DataSet", "SetAside", "Utterance"]
