"""The store of frames: memory-mapped features with alignments, and windows of them."""
