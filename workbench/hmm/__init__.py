"""Hidden Markov models: tied states, flat start, decision trees, alignments, and search graphs as arrays."""
