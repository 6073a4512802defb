"""Lexicon, texts, and n-gram language models."""
