"""The flat start: Gaussian mixtures, phones in context and the decision tree that ties states."""
