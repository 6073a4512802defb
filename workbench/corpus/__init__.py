"""Corpora: read, checked, split or made, and the store of frames that training reads."""

from workbench.corpus.utterances import DataSet, SetAside, Utterance

__all__ = ["DataSet", "SetAside", "Utterance"]
