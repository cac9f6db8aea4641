"""From a run's start to its end: one step, its error, many runs at once, and the coordinates on the way."""
