"""Queries against the store, one frame each; every Frame says what its columns mean."""
