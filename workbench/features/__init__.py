"""Features: log-mel energies, their normalisation, the window of neighbouring frames, and a corpus' store of them."""

from workbench.features.normalise import Normalisation, features_of

__all__ = ["Normalisation", "features_of"]
