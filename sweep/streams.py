"""Standard output as users connect it: terminals of small encodings, full disks, nothing at all."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

import typer

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EINVAL)
"""What a stream raises that takes nothing more; such an error names no file."""


class OutputError(Exception):
    """What was to be printed cannot be; the message says what to do."""


@contextlib.contextmanager
def written() -> Iterator[None]:
    """Whatever the body prints has reached standard output at its end. Raises OutputError; a reader that left passes.

    Characters that the terminal's encoding lacks are printed as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is None:  # closed by the shell
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - open to the end of the process
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is not None or error.errno not in UNWRITABLE:
            raise
        _discard()
        raise OutputError(
            f"standard output cannot be written: {error.strerror}; send it elsewhere, or -o FILE"
        ) from error


def check_encoding(text: str) -> None:
    """Raise OutputError where standard output would show data in other characters than they are."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError as error:
        raise OutputError(
            f"standard output takes {sys.stdout.encoding}, which lacks {text[error.start]!a}; "
            "set PYTHONIOENCODING=utf-8, or write a file: -o FILE"
        ) from error


class Application(typer.Typer):
    """A typer application of which even the help is printed, or refused in one line."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with written():
                return super().__call__(*args, **kwargs)
        except OutputError as error:
            with contextlib.suppress(OSError):
                typer.echo(f"error: {error}", err=True)
            sys.exit(2)


def _discard() -> None:
    """Leave nothing to be flushed, which would fail again, when the process ends."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - open to the end of the process
