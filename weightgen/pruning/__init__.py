"""Sparse starts: which weights stay, by scores, by chance, by graphs or by blocks. A mask goes with the weights."""
