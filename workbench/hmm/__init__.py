"""Hidden Markov models: tied states, alignment, priors; the flat start; search graphs as arrays."""
