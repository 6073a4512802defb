"""Language: text, lexicon, n-gram estimation, ARPA files, and the trie that searches use."""
