"""What people are told of a plan, before anything runs."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from sweep.execution.estimate import estimate_lines
from sweep.shown import shown

MOST_CLASSES = 5
"""Data sets of a plan whose labels are told."""


def plan_lines(plan: Mapping[str, Any], estimated: bool = True) -> Iterator[str]:
    """A plan for people, with its estimate."""
    shard = plan.get("shard")
    name = shown(plan["name"]) + (f", shard {shard}" if shard else "")
    of = f" of {plan['total'] + plan['elsewhere']}" if shard else ""
    yield f"{name}: {plan['total']}{of} runs, {plan['cached']} cached, {plan['pending']} pending"
    if plan["dropped"]:
        yield "combinations dropped:"
        width = max(len(str(count)) for count in plan["dropped"].values())
        yield from (f"  {count:>{width}}  {shown(rule)}" for rule, count in plan["dropped"].items())
    yield f"batches: {plan['batches']}, of {plan['programs']} compiled program{'' if plan['programs'] == 1 else 's'}"
    if estimated:
        yield from estimate_lines(plan)


def class_lines(classes: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """Which values of files became the labels of which sign, for the first few data sets."""
    for name, (negative, positive) in itertools.islice(classes.items(), MOST_CLASSES):
        yield f"labels of {shown(name)}: {shown(repr(negative))} is -1, {shown(repr(positive))} is +1"
    if len(classes) > MOST_CLASSES:
        yield f"and so on for {len(classes) - MOST_CLASSES} more data sets"
