"""A network of a user's own whose programs are compiled in one way only, so that a run is the same to the last bit.

A worker compiles quickly at first and well once that pays, so that it depends on its history by which program a run
goes. Their last bits differ, and where error estimates are near rounding, so do lengths of steps.
"""

import math

from fragile import Slow

from kernels.integrator import loop

loop.OPTIMISATION = math.inf


class Steady(Slow):
    """Takes a moment to build, so that a test can interrupt it."""
