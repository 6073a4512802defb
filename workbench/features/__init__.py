"""Features: log-mel energies, their normalisation, and the preparation of a store of frames."""

from workbench.features.normalise import Normalisation, extract_features

__all__ = ["Normalisation", "extract_features"]
