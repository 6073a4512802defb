"""The store of frames: memory-mapped features with alignments, and the windows that training
gathers.
"""
