"""Experiments in asynchronous sequence training of hybrid DNN-HMM acoustic models."""

__version__ = "0.1.0"
