"""Data sets: the kinds there are, how each is read or drawn, and whether a flow can be run on it."""
