"""Shapes and types of every kernel are checked at run time in tests; JAX is strict about them and runs on the CPU.

Programs that one process has compiled are read by the others, in this run of the tests only.
"""

import os
import shutil
import signal
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
MADE = "" if "JAX_COMPILATION_CACHE_DIR" in os.environ else tempfile.mkdtemp(prefix="compiled-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", MADE)  # workers inherit it
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("EQX_ON_ERROR", "nan")  # programs with error callbacks are not cached

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background jobs; what tests start inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)

from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("kernels", "beartype.beartype")

from kernels.x64 import jax  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


def pytest_sessionfinish() -> None:
    if MADE:
        shutil.rmtree(MADE, ignore_errors=True)
