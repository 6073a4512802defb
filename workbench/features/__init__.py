"""Features: log-mel energies, their normalisation, the window of neighbouring frames, and a corpus' store of them."""
