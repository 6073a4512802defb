"""Search graphs: of one reference (numerator), of a unigram (denominator), and of an n-gram."""
