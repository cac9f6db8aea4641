"""The integrator: one step and its error, many runs at once, and the passage into what is integrated and back."""
