"""Gradient flows: forces, stiffness and clocks of the tasks, and what is recorded of an orbit."""
