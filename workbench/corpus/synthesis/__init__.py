"""Synthetic corpora: spoken queries in Icelandic and English, with known times of phones."""

from workbench.corpus.synthesis.difficulty import SIZES, Difficulty
from workbench.corpus.synthesis.synthesise import RECIPES, synthesise

__all__ = ["RECIPES", "SIZES", "Difficulty", "synthesise"]
