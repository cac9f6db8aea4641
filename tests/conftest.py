"""Shapes and types of every kernel are checked at run time in tests; JAX is strict about them and runs on the CPU."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from jaxtyping import install_import_hook

install_import_hook("kernels", "beartype.beartype")

from kernels.x64 import jax  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
