"""Where theory says that a flow ends, and how far from there it did. Knows of no flow and no integrator."""
