"""Search graphs: the reference (numerator), all sentences of a unigram (denominator), and the n-gram."""
