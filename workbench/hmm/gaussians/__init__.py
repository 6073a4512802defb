"""The flat start: Gaussian mixtures, phonetic contexts and the decision tree that ties states."""
