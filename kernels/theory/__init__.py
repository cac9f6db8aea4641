"""Predictions: where theory says that a flow ends, and how far from there a run ended. It imports no flow."""
