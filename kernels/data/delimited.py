"""Tables in text: columns parted by commas, semicolons or tabs, with any line ends. Imports no JAX.

The text is UTF-8, or UTF-16 or UTF-32 with a byte-order mark. Whatever else is refused, because an encoding that is
guessed may be wrong.
"""

import codecs
import csv
import itertools
import operator
import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.data import cells
from kernels.data.checks import MOST_NUMBERS
from kernels.spec import InputError

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
QUOTED = re.compile(r'"[^"]*"?')

ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte-order marks and their encodings. UTF-32 comes first, because its mark starts with that of UTF-16."""

OTHERS = {
    b"PAR1": "it is Parquet; name it .parquet",
    b"PK\x03\x04": "it is a zip archive, or a workbook; save its table as CSV",
    b"\xd0\xcf\x11\xe0": "it is a workbook; save its table as CSV",
    b"\x1f\x8b": "it is compressed by gzip; decompress it",
    b"\x28\xb5\x2f\xfd": "it is compressed by zstd; decompress it",
    b"BZh": "it is compressed by bzip2; decompress it",
}
"""How files of other kinds start."""

UTF8 = "save it as UTF-8, as `iconv -f WINDOWS-1252 -t UTF-8` does"


def header(path: Path) -> list[str]:
    """Names of the columns; [] for an empty file. Raises InputError where the file is no table, and OSError."""
    with _records(path) as records:
        return next(records, (0, []))[1]


def samples(
    path: Path, features: Sequence[str], target: str
) -> tuple[Float[np.ndarray, "n d"], list[str], Sequence[int]]:
    """Features as numbers, shape (n, d), the target's cells as text, and the line number of every row.

    Raises InputError for a row that is too long and for the first feature that is no number; OSError.
    """
    rows: list[np.ndarray] = []
    targets: list[str] = []
    lines = array("q")
    with _records(path) as records:
        names = next(records)[1]
        place = {name: n for n, name in enumerate(names)}
        last = len(features)
        # target twice, because itemgetter of a single place returns no tuple
        chosen = operator.itemgetter(*(place[name] for name in (*features, target, target)))
        for line, row in records:
            if len(row) > len(names):
                raise InputError(
                    f"line {line} ({len(row)} fields, {len(names)} columns) cannot be read; name every column, that of "
                    "row names too, and write decimal points, no commas"
                )
            if (len(lines) + 1) * last > MOST_NUMBERS:
                raise InputError(f"more than {MOST_NUMBERS:,} numbers up to line {line}; write fewer")
            picked = chosen(row + [""] * (len(names) - len(row)))
            rows.append(_row(picked[:last], features, line))
            targets.append(picked[last])
            lines.append(line)
    return np.array(rows, dtype=np.float64).reshape(len(rows), last), targets, lines


def _row(texts: Sequence[str], features: Sequence[str], line: int) -> Float[np.ndarray, " d"]:
    try:
        read = float if cells.is_plain("".join(texts)) else cells.number
        found = np.fromiter(map(read, texts), dtype=np.float64, count=len(texts))
        if np.isfinite(found).all():
            return found
    except ValueError:
        pass
    for name, text in zip(features, texts, strict=True):
        cells.numbers(name, [text], lambda _: f"line {line}")
    raise AssertionError(line)


@contextmanager
def _records(path: Path) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """(line number, fields) of every record, the names of the columns first; blank lines are skipped."""
    encoding = _encoding(path)
    try:
        with path.open(newline="", encoding=encoding) as file:  # lines end in \n, \r\n or \r
            first = _first_record(file)
            reader = csv.reader(itertools.chain(first, file), delimiter=_delimiter("".join(first)), strict=True)
            yield _numbered(reader)
    except UnicodeDecodeError as error:
        raise InputError(f"it cannot be read ({_not_text(path, encoding)})") from error
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} cannot be read ({error}); is a quotation mark open?") from error


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    start = 1
    for row in reader:
        if row or start == 1:
            yield start, row
        start = reader.line_num + 1


def _first_record(file: Iterator[str]) -> list[str]:
    """The lines of the first record: several where a quoted name holds a line end."""
    lines: list[str] = []
    quotes = 0
    for line in file:
        lines.append(line)
        quotes += line.count('"')
        if quotes % 2 == 0:
            break
    return lines


def _delimiter(names: str) -> str:
    """The delimiter that stands between the names. Raises InputError where there are two."""
    bare = QUOTED.sub("", names)
    if bare.lower().startswith("sep="):
        raise InputError("line 1 is an instruction to a spreadsheet; remove it: the first line names the columns")
    found = [delimiter for delimiter in DELIMITERS if delimiter in bare]
    if len(found) > 1:
        said = " and ".join(DELIMITERS[delimiter] for delimiter in found)
        raise InputError(
            f"line 1 holds {said} outside quotation marks; put only one of them between names, quote others"
        )
    return found[0] if found else ","


def _encoding(path: Path) -> str:
    """The encoding, by the file's first bytes. Raises InputError for files that are no text."""
    with path.open("rb") as file:
        start = file.read(64)
    for mark, encoding in ENCODINGS:
        if start.startswith(mark):
            return encoding
    for mark, said in OTHERS.items():
        if start.startswith(mark):
            raise InputError(f"it cannot be read ({said})")
    if b"\0" in start:
        raise InputError(
            "it cannot be read (NUL bytes: UTF-16 without a byte-order mark, or no text; save it as UTF-8)"
        )
    return "utf-8"


def _not_text(path: Path, encoding: str) -> str:
    """The message that says where bytes are not text of this encoding."""
    if not encoding.startswith("utf-8"):
        return f"its byte-order mark says {encoding}, and it is not; {UTF8}"
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"line {number}: byte 0x{line[error.start]:02x} is no UTF-8, so this is another encoding; {UTF8}"
    return UTF8
