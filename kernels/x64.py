"""JAX in double precision, on one thread. All other modules take `jax` from here.

XLA's CPU client runs independent parts of a program on its thread pool, and batched LAPACK calls wait there for the
same pool: a batch of factorisations then waits for itself for ever. One worker has one core, so that one thread loses
nothing. The settings must be made before JAX makes its client.
"""

import os

os.environ.setdefault("NPROC", "1")
_ORDER = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
if _ORDER.partition("=")[0] not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_ORDER}".strip()

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]

__all__ = ["jax"]
