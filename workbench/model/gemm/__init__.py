"""Matrix products of a layer in vector code, compiled by numba."""
