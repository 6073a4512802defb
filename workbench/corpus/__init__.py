"""Corpora: reading and checking them, splitting them, and the store of frames that training reads."""

from workbench.corpus.utterances import DataSet, SetAside, Summary, Utterance, summary

__all__ = ["DataSet", "SetAside", "Summary", "Utterance", "summary"]
