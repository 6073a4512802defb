"""Matrix products in vector code, compiled by numba."""
