"""JAX, in double precision: every module of the flow imports it from here, so that no run is ever single precision."""

import jax

jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]

__all__ = ["jax"]
