"""Tables as R, pandas, spreadsheets and instruments write them: read as what they mean, or refused by name.

One row a case: bytes of a file, and the features that are read or words of the refusal. The target is always y.
"""

import io
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kernels.data.kinds import canonical, load
from kernels.spec import InputError

READ = [[1.0, 2.5], [-3.0, 4.0]]
"""What each of the tables that are read holds."""

PLAIN = "a,b,y\n1,2.5,1\n-3,4,-1\n"

TEXTS: dict[str, tuple[bytes, str | None]] = {
    "plain": (PLAIN.encode(), None),
    "no line end at the end": (PLAIN.rstrip().encode(), None),
    "Windows line ends": (PLAIN.replace("\n", "\r\n").encode(), None),
    "line ends of an old Macintosh": (PLAIN.replace("\n", "\r").encode(), None),
    "mixed line ends": (b"a,b,y\r\n1,2.5,1\n-3,4,-1\r", None),
    "blank lines at the end": (PLAIN.encode() + b"\n\r\n\n", None),
    "UTF-8 with a mark": (PLAIN.encode("utf-8-sig"), None),
    "UTF-16 with a mark": (PLAIN.encode("utf-16"), None),
    "UTF-16, the other byte order": (b"\xfe\xff" + PLAIN.encode("utf-16-be"), None),
    "UTF-32 with a mark": (PLAIN.encode("utf-32"), None),
    "semicolons": (PLAIN.replace(",", ";").encode(), None),
    "tabs": (PLAIN.replace(",", "\t").encode(), None),
    "every name quoted": (b'"a","b","y"\n"1","2.5","1"\n-3,"4","-1"\n', None),
    "spaces around numbers": (b"a,b,y\n 1 ,2.5 , 1\n-3, 4,-1 \n", None),
    "numbers with exponents and signs": (b"a,b,y\n+1,25e-1,1\n-.3E1,4.,-1\n", None),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), "NUL bytes: UTF-16 without a byte-order mark"),
    "UTF-16 cut in the middle": (PLAIN.encode("utf-16")[:-1], "its byte-order mark says utf-16, and it is not"),
    "Latin-1": ("a,größe,y\n1,2,1\n".encode("latin-1"), "line 1: byte 0xf6 is no UTF-8.*iconv -f WINDOWS-1252"),
    "Latin-1 far down": (b"a,b,y\n" + b"1,2,cat\n" * 5000 + b"1,2,\xe9\n", "line 5002: byte 0xe9 is no UTF-8"),
    "decimal commas": (b"a;b;y\n1,5;2,5;1\n2;3;-1\n", "line 2, column 'a': '1,5' has a decimal comma"),
    "decimal commas in quotes": (b'a,b,y\n"1,5",2,1\n', "'1,5' has a decimal comma.*; write a point"),
    "decimal commas between commas": (b"a,b,y\n1,5,2,5,1\n", r"line 2 \(5 fields, 3 columns\).*decimal points"),
    "thousands": (b'a,b,y\n"1,234",2,1\n', "a comma between thousands; write a point, and nothing between digits"),
    "digit groups of Python": (b"a,b,y\n1_000,2,1\n", "line 2, column 'a': '1_000' is not a finite number"),
    "digits of another script": ("a,b,y\n١,2,1\n".encode(), "line 2, column 'a': '١' is not a finite number"),
    "R's row numbers": (b'"","a","b","y"\n"1",1,2,1\n"2",3,4,-1\n',
                        r"column 1 has no name, as R and pandas.*row.names = FALSE.*index=False.*features: \[a, b\]"),
    "pandas' row numbers": (b",a,b,y\n0,1,2,1\n1,3,4,-1\n", "column 1 has no name"),
    "pandas' row numbers, read and written": (b"Unnamed: 0,a,y\n0,1,1\n1,3,-1\n", "column 1 is named 'Unnamed: 0'"),
    "readr's row numbers": (b"...1,a,y\n1,1,1\n2,3,-1\n", "column 1 is named '...1'"),
    "row names": (b"a,rownames,y\n1,1,1\n2,3,-1\n", "column 2 is named 'rownames'"),
    "two row numbers": (b",,a,y\n0,0,1,1\n1,1,3,-1\n", "column 1 has no name"),
    "a comma at the end of each line": (b"a,b,y,\n1,2,1,\n3,4,-1,\n", "column 4 has no name"),
    "a name of spaces": (b"a,  ,y\n1,2,1\n3,4,-1\n", "column 2 has no name"),
    "R's write.table": (b'"a","b","y"\n"1",1,2,1\n', r"line 2 \(4 fields, 3 columns\).*name every column"),
    "spaces between columns": (b"a b y\n1 2 1\n", "no column 'y'.*a comma, a semicolon or a tab parts columns"),
    "two delimiters": (b"a,b;y\n1,2;3\n", "line 1 holds a comma and a semicolon outside quotation marks"),
    "an instruction to a spreadsheet": (b"sep=;\na;y\n1;2\n", "line 1 is an instruction to a spreadsheet"),
    "a blank line first": (b"\na,y\n1,2\n", "it is empty, or its first line is"),
    "nothing": (b"", "it is empty"),
    "a mark and nothing": (b"\xef\xbb\xbf", "it is empty"),
    "names and nothing": (b"a,y\n", "it has no samples"),
    "R's missing value": (b"a,y\n1,1\nNA,-1\n", "line 3, column 'a': 'NA' is not a finite number, which stands for a "
                          "missing value"),
    "a missing label": (b"a,y\n1,cat\n2,NA\n", "line 3, column 'y': 'NA' .*write one of two values"),
    "identifiers as text": (b"who,a,y\npatient_017,1,1\npatient_018,2,-1\n", r"column 'who' holds another text in "
                            r"every row \('patient_017', 'patient_018', ...\), as identifiers.*write exclude: \[who\]"),
    "identifiers by name and as text": (b"a,sample_id,y\n1,s1,1\n2,s2,-1\n", "'sample_id' holds another text in every"),
    "a group as text": (b"a,site,y\n1,west,1\n2,east,-1\n3,west,1\n", "line 2, column 'site': 'west' is not a finite"),
    "one word among numbers": (b"a,y\n1,1\n2e0,-1\nlow,-1\n", "line 4, column 'a': 'low' is not a finite number"),
    "dates": (b"a,y\n2026-01-01,1\n2026-01-02,-1\n", "line 2, column 'a': '2026-01-01' is not a finite number"),
    "truth as words": (b"a,y\n1,1\nTRUE,-1\n", "line 3, column 'a': 'TRUE' is not a finite number"),
    "a percentage": (b"a,y\n1,1\n12%,-1\n", "line 3, column 'a': '12%' is not a finite number"),
    "an overflow": (b"a,y\n1,1\n1e999,-1\n", "line 3, column 'a': '1e999' is not a finite number"),
    "an open quotation mark": (b'a,y\n1,1\n"2,-1\n3,1\n', "line 4 cannot be read.*is a quotation mark open"),
    "an open quotation mark in the names": (b'"a,y\n1,1\n2,-1\n', "is a quotation mark open"),
    "text behind a quoted cell": (b'a,y\n"1"2,1\n', "line 2 cannot be read"),
    "a cell of a megabyte": (b"a,y\n" + b"1" * (1 << 20) + b",1\n", "line 2 cannot be read"),
    "NUL in a cell": (b"a,y\n" + b"1,1\n" * 20 + b"1\x00,1\n", r"line 22, column 'a': '1\\x00' is not"),
    "gzip": (b"\x1f\x8b\x08\x00", "it is compressed by gzip; decompress it"),
    "a workbook": (b"PK\x03\x04....", "a workbook; save its table as CSV"),
    "Parquet": (b"PAR1....", "it is Parquet; name it .parquet"),
    "two equal names": (b"a,a,y\n1,2,3\n", "two columns are named 'a'"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "refusal"), TEXTS.values(), ids=list(TEXTS))
def test_a_table_in_text_is_read_or_refused_by_name(content: bytes, refusal: str | None, tmp_path: Path) -> None:
    _check(tmp_path / "t.csv", content, refusal)


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pl.DataFrame({"a": [1.0, -3.0], **columns}).write_parquet(sink)
    return sink.getvalue()


def arrow(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1.0, -3.0], **columns}), sink)
    return sink.getvalue()


TWO = pl.Series([2.5, 4])
CLASSES = pl.Series(["cat", "dog"])
Y = pl.Series([1, -1])

PARQUETS: dict[str, tuple[bytes, str | None]] = {
    "numbers": (parquet(b=TWO, y=Y), None),
    "decimals": (parquet(b=[Decimal("2.5"), Decimal(4)], y=Y), None),
    "single precision": (parquet(b=TWO.cast(pl.Float32), y=Y.cast(pl.Int8)), None),
    "numbers as text": (parquet(b=["2.5", "4"], y=["1", "-1"]), None),
    "a category of two as target": (parquet(b=TWO, y=CLASSES.reverse().cast(pl.Categorical)), None),
    "an enum of two as target": (parquet(b=TWO, y=CLASSES.reverse().cast(pl.Enum(["dog", "cat"]))), None),
    "Arrow's dictionary as target": (arrow(b=pa.array([2.5, 4]), y=pa.array(["d", "c"]).dictionary_encode()), None),
    "truth as target": (parquet(b=TWO, y=[True, False]), None),
    "a category": (parquet(b=CLASSES.cast(pl.Categorical), y=Y), "column 'b' holds Categorical; it needs numbers"),
    "an enum": (parquet(b=CLASSES.cast(pl.Enum(["cat", "dog"])), y=Y), "column 'b' holds Enum; it needs numbers"),
    "bytes": (parquet(b=[b"1", b"\xff"], y=Y), "column 'b' holds Binary; it needs numbers"),
    "lists": (parquet(b=[[1], [2]], y=Y), "column 'b' holds List; it needs numbers"),
    "structs": (parquet(b=[{"c": 1}, {"c": 2}], y=Y), "column 'b' holds Struct; it needs numbers"),
    "identifiers as text": (parquet(b=["s1", "s2"], y=Y), r"column 'b' holds another text.*exclude: \[b\]"),
    "dates": (parquet(b=[date(2026, 1, 1)] * 2, y=Y), "column 'b' holds Date; it needs numbers"),
    "bytes as target": (parquet(b=TWO, y=[b"1", b"2"]), "column 'y' holds Binary; a target needs numbers"),
    "lists as target": (parquet(b=TWO, y=[[1], [2]]), "column 'y' holds List; a target"),
    "structs as target": (parquet(b=TWO, y=[{"c": 1}, {"c": 2}]), "column 'y' holds Struct; a target"),
    "dates as target": (parquet(b=TWO, y=[date(2026, 1, 1), date(2026, 1, 2)]), "column 'y' holds Date; a target"),
    "a missing category": (parquet(b=TWO, y=pl.Series(["cat", None]).cast(pl.Categorical)), "row 2, column 'y'"),
    "nothing but missing values": (parquet(b=[None, None], y=Y), "row 1, column 'b': the value is missing"),
    "an infinity": (parquet(b=[1.0, float("inf")], y=Y), "row 2, column 'b': inf is not a finite number"),
    "pandas' index": (parquet(b=TWO, y=Y, __index_level_0__=[5, 9]), "is named '__index_level_0__', as R and pandas"),
    "no name": (arrow(**{"": pa.array([0, 1]), "y": pa.array([1, -1])}), "column 2 has no name"),
    "no rows": (arrow(y=pa.array([1, -1]))[:0], "cannot be read"),
    "a damaged file": (b"PAR1" + b"\0" * 60 + b"PAR1", "cannot be read"),
    "text": (PLAIN.encode(), "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "refusal"), PARQUETS.values(), ids=list(PARQUETS))
def test_a_table_in_parquet_is_read_or_refused_by_name(content: bytes, refusal: str | None, tmp_path: Path) -> None:
    _check(tmp_path / "t.parquet", content, refusal)


def _check(path: Path, content: bytes, refusal: str | None) -> None:
    path.write_bytes(content)
    data = {"file": str(path), "target": "y"}
    if refusal is None:
        found = load(canonical(data, "classification", path.parent), "classification")
        assert found.x.tolist() == READ
        assert found.y.tolist() == [1, -1]
        return
    with pytest.raises(InputError) as caught:
        load(canonical(data, "classification", path.parent), "classification")
    assert re.search(refusal, str(caught.value)), caught.value
    assert str(caught.value).startswith(f"data: file {path}")


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_row_numbers_are_left_out_or_asked_for_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"{name},a,b,y\n1,1,2.5,1\n2,-3,4,-1\n")
    data = {"file": "t.csv", "target": "y"}
    without = load(canonical({**data, "features": ["a", "b"]}, "classification", tmp_path), "classification")
    assert without.x.tolist() == READ
    asked = load(canonical({**data, "features": [name, "a"]}, "classification", tmp_path), "classification")
    assert asked.x.tolist() == [[1, 1], [2, -3]]


def test_a_regression_on_words_is_told_of_classification(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,ill\n2,healthy\n")
    with pytest.raises(InputError, match=r"line 2, column 'y': 'ill' is not a finite.*write task: classification"):
        load(canonical({"file": "t.csv", "target": "y"}, "regression", tmp_path), "regression")


@pytest.mark.parametrize("features", [["who", "a", "b"], ["*"]])
def test_identifiers_as_text_are_named_also_where_they_were_asked_for(features: list[str], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("who,a,b,y\ns1,1,2.5,1\ns2,-3,4,-1\n")
    data = {"file": "t.csv", "target": "y", "features": features}
    with pytest.raises(InputError, match=r"column 'who' holds another text in every row.*write exclude: \[who\]"):
        load(canonical(data, "classification", tmp_path), "classification")
    found = load(canonical({**data, "exclude": ["who"]}, "classification", tmp_path), "classification")
    assert found.x.tolist() == READ


def test_a_name_may_hold_delimiters_and_line_ends(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'"a, in cm;\r\nof ""wood""",b,y\r\n1,2.5,1\r\n-3,oops,-1\r\n')
    data = canonical({"file": "t.csv", "target": "y"}, "regression", tmp_path)
    assert data["file"]["features"] == ['a, in cm;\r\nof "wood"', "b"]
    with pytest.raises(InputError, match="line 4, column 'b': 'oops'"):
        load(data, "regression")
