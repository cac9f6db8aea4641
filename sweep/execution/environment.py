"""What a user's environment must allow before anything runs in it, and what is said of it where it does not."""

import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from kernels.spec import InputError

USUAL = {
    "JAX_PLATFORMS": r"|cpu",
    "JAX_COMPILATION_CACHE_DIR": r".*",  # one that cannot be written is a warning of JAX's
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": r"[\d.]+",
    "XLA_FLAGS": r"(--xla_cpu_enable_concurrency_optimized_scheduler=false|--xla_cpu_multi_thread_eigen=false|"
    r"intra_op_parallelism_threads=1|\s)*",
}
"""Values of JAX's variables with which it is known to start; any other is tried."""

PROBE = "from kernels.x64 import jax; jax.jit(lambda x: x / x)(jax.numpy.zeros(2)).block_until_ready()"
"""A program on a device; its NaN is a number like others here, never an exception."""

PROBE_SECONDS = 120

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OF_THE_MACHINE = (
    *FULL, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE,
    errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOMEM, errno.EAGAIN, errno.ESTALE,
)  # fmt: skip
"""Errors of the file system and of limits that a user can lift, and no program can."""


def check_environment(address: str | None) -> None:
    """Raise InputError, naming the variable, where runs would fail in this environment whatever the grid.

    A failed run is final, so that an environment must be refused before. That of a cluster is not seen from here.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise InputError("TMPDIR: no temporary folder can be written; set TMPDIR to a folder that can") from error
    if address is None:
        _check_home()
        _check_jax(os.environ)


def unusual(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of JAX's variables that have another value than the usual ones."""
    names = [name for name in variables if name.startswith("JAX_") or name == "XLA_FLAGS"]
    return {name: variables[name] for name in names if not re.fullmatch(USUAL.get(name, r"(?!)"), variables[name])}


def explained(error: OSError) -> str | None:
    """What a user has to change where the machine refused; None for an error that is the program's own."""
    try:
        os.getcwd()
    except OSError:
        return "the current folder is gone; change to one that is there"
    if "AF_UNIX path" in str(error):
        folder = tempfile.gettempdir()
        return f"TMPDIR={folder} is too long for the sockets of Ray ({error}); set TMPDIR to a short path, such as /tmp"
    if error.errno not in OF_THE_MACHINE:
        return None
    where = error.filename if error.filename is not None else f"a file of this command or in {tempfile.gettempdir()}"
    return f"{where}: {error.strerror}; {'free some space' if error.errno in FULL else 'change that'}, or name another"


def _check_home() -> None:
    """Compiled programs are kept below the user's home, unless XDG_CACHE_HOME names another place."""
    from sweep.execution.cache import cache

    try:
        cache("jax")
    except RuntimeError as error:
        raise InputError("HOME: it is not set, and the user has no home; set HOME or XDG_CACHE_HOME") from error


def _check_jax(variables: Mapping[str, str]) -> None:
    """Raise InputError where JAX would not start with the variables that it reads."""
    odd = unusual(variables)
    if not odd or "jax" in sys.modules:
        return
    written = ", ".join(f"{name}={value}" for name, value in odd.items())
    instead = "unset it" if len(odd) == 1 else "unset them"
    if "JAX_PLATFORMS" in odd:
        instead = "write JAX_PLATFORMS=cpu, or unset it: a GPU that is there is found without it"
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE],
            capture_output=True, text=True, errors="replace", timeout=PROBE_SECONDS,
            env={**variables, "JAX_TRACEBACK_FILTERING": "off"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{written}: JAX does not start in {PROBE_SECONDS} s; {instead}") from error
    if done.returncode:
        said = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason given")
        said = "there is no such device" if said == "AssertionError" else said.strip()[:300]
        raise InputError(f"{written}: JAX does not start with it ({said}); {instead}")
