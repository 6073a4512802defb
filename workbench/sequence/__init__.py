"""Lattices, occupancies, and the sequence criteria that are made of them."""
