"""The command that says of every claim whether it holds."""

import shutil
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.common import (
    SOME_FAILED,
    WAIT,
    JsonOption,
    StoreOption,
    WaitOption,
    answering,
    check_output,
    echo,
    print_json,
)
from sweep.cli.runs import Where, exit_code

if TYPE_CHECKING:
    from analysis.claims import Claim, Verdict

STORE = Path("claims.duckdb")
WIDEST = 100
"""Columns of a line for people, on terminals that have as many."""


@answering
def claims(
    numbers: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIM]...", help="Claims (4.1) or families (4); all by default.")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Fewer runs of each: under a minute on two cores, once programs are compiled."),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write an HTML page of all, with figures.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write the page as FILE.md and figures beside it.")
    ] = None,
    store: StoreOption = STORE,
    executor: Annotated[Where, typer.Option(help="Ray, or this process.")] = Where.ray,
    workers: Annotated[int | None, typer.Option(min=1, help="CPUs of the Ray that is started here.")] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Only print the SQL of the claims; runs nothing.")] = False,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """Check what theory claims: run what the store lacks, then say of each claim PASS or FAIL (exit code 1 if any)."""
    from sweep.claims import chosen

    wanted = chosen(numbers or ())
    if sql:
        for claim in wanted:
            said = f"{claim.number}: {claim.figure} {claim.sign} {claim.bound:g}"  # behind, or it would be an option
            echo(f"{claim.cases.strip()};\n-- {said}\n")
        return
    _check(output, markdown, store)
    begin = time.monotonic()
    verdicts = _verdicts(wanted, store, executor, workers, quick, wait)
    seconds = time.monotonic() - begin
    if json:
        print_json(_as_json(verdicts, store, quick, seconds))
    else:
        for line in _lines(verdicts, store, seconds):
            echo(line)
    _write(verdicts, store, output, markdown, quick=quick, said=not json)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(SOME_FAILED)


def _check(output: Path | None, markdown: Path | None, store: Path) -> None:
    """Raise AnalysisError or GridError where a page could not be written, before anything is computed for it."""
    from analysis.files import REPORT_FORMATS, check_target

    for option, target, formats in (("-o", output, REPORT_FORMATS), ("--markdown", markdown, ("md",))):
        if target is not None:
            check_output(option, target, store=store)
            check_target(target, formats)


def _verdicts(
    wanted: "Sequence[Claim]", store: Path, executor: Where, workers: int | None, quick: bool, wait: float
) -> "list[Verdict]":
    """Launch, and ask the store. A launch that could not end well ends the command with its own exit code."""
    from analysis.claims import evaluate
    from sweep.claims import launch
    from sweep.cli.open import opened
    from sweep.execution.environment import check_environment
    from sweep.execution.session import Options

    check_environment(None)
    options = Options(store=store, local=executor is Where.local, workers=workers, quiet=True, wait=wait)
    ended = launch(wanted, options, quick)
    if ended.interrupted or ended.lost or ended.unstored or ended.traceback:
        for line in ended.lines():
            echo(line, err=True)
        raise typer.Exit(exit_code(ended))
    source = opened(store, wait)
    return [evaluate(claim, source) for claim in wanted]


def _lines(verdicts: "Sequence[Verdict]", store: Path, seconds: float) -> Iterator[str]:
    width = min(shutil.get_terminal_size().columns, WIDEST)
    for verdict in verdicts:
        yield from _paragraph(verdict, store, width)
    failed = [verdict.claim.number for verdict in verdicts if not verdict.passed]
    which = f" ({', '.join(failed)})" if failed else ""
    every = f"{len(verdicts)} claim{'' if len(verdicts) == 1 else 's'}"
    count = f"{every}: {len(verdicts) - len(failed)} PASS, {len(failed)} FAIL{which}"
    yield f"{count}; {seconds:.0f} s; runs in {store}"


def _paragraph(verdict: "Verdict", store: Path, width: int) -> Iterator[str]:
    """One claim: the verdict and its numbers, the statement, and where to look."""
    from analysis.claims.wording import numbers

    claim = verdict.claim
    yield f"{'PASS' if verdict.passed else 'FAIL'}  {claim.number}  {numbers(verdict)}"
    said = [claim.statement, *([f"Beside it: {verdict.beside}"] if verdict.beside else [])]
    said += [f"FAIL: {fault}." for fault in verdict.faults]
    for text in said:
        yield from textwrap.wrap(text, width, initial_indent="      ", subsequent_indent="      ")
    yield f'      look: sweep query "$(sweep claims {claim.number} --sql)" --store {store}'
    if claim.chart:
        yield f"      sweep chart {claim.chart} --store {store} -o look.html"


def _as_json(verdicts: "Sequence[Verdict]", store: Path, quick: bool, seconds: float) -> dict[str, Any]:
    passed = sum(verdict.passed for verdict in verdicts)
    return {
        "store": str(store), "quick": quick, "seconds": round(seconds, 1), "passed": passed,
        "failed": len(verdicts) - passed, "claims": [verdict.to_dict() for verdict in verdicts],
    }  # fmt: skip


def _write(
    verdicts: "Sequence[Verdict]", store: Path, output: Path | None, markdown: Path | None, *, quick: bool, said: bool
) -> None:
    from analysis.claims.page import write_html, write_markdown
    from sweep.cli.open import opened
    from sweep.execution.provenance import machine

    for target, write in ((output, write_html), (markdown, write_markdown)):
        if target is not None:
            written = write(verdicts, opened(store), target, machine(), quick)
            if said:
                echo(f"written: {written}")
