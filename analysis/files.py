"""Files of figures and reports: named by their format, whole or not at all."""

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from analysis.errors import CannotWrite, UnknownFormat

REPORT_FORMATS = ("html", "htm")


def check_suffix(target: Path, formats: Sequence[str]) -> str:
    """The format that the suffix names. Raises UnknownFormat if it is none of these."""
    kind = target.suffix.removeprefix(".").lower()
    if kind not in formats:
        raise UnknownFormat(str(target), target.suffix, formats)
    return kind


def check_report(target: Path) -> None:
    """Raise AnalysisError where no report could be written, before something long is done for it."""
    check_target(target, REPORT_FORMATS)


def check_target(target: Path, formats: Sequence[str]) -> None:
    """Raise AnalysisError where no file of one of these formats could be written."""
    check_suffix(target, formats)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise CannotWrite(str(target), error.strerror or str(error)) from error


class ScriptEncoder(json.JSONEncoder):
    """JSON that may stand in a script element: no label in it can end the element."""

    def encode(self, o: Any) -> str:
        return super().encode(o).replace("<", "\\u003c")


@contextlib.contextmanager
def writing(target: Path) -> Iterator[Path]:
    """A temporary file beside `target` that takes its name when the block ends well, and is removed otherwise."""
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
    except OSError as error:
        raise CannotWrite(str(target), error.strerror or str(error)) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        raise CannotWrite(str(target), error.strerror or str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
