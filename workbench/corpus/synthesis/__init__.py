"""Synthetic corpora, made from nothing but packages of the index: Icelandic and English spoken queries with known phone times."""

from workbench.corpus.synthesis.difficulty import SIZES, Difficulty
from workbench.corpus.synthesis.synthesise import RECIPES, synthesise

__all__ = ["RECIPES", "SIZES", "Difficulty", "synthesise"]
