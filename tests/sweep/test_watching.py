"""What is said again while a sweep runs: every change once, until the latest sweep is done."""

from typing import Any

import pytest

from sweep.cli import watching


def state(done: int, pending: int) -> dict[str, Any]:
    sweeps = [{"sweep_id": "latest", "pending": pending}, {"sweep_id": "given up", "pending": 7}]
    return {"store": "s", "runs": {"converged": done}, "sweeps": sweeps}


def test_every_change_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "EVERY_SECONDS", 0.0)
    nothing: dict[str, Any] = {"store": "s", "runs": {}, "sweeps": []}
    states = [nothing, nothing, state(1, 2), state(1, 2), state(3, 0), state(4, 0)]
    waiting, said = iter(states), []
    watching.watch(lambda: next(waiting), said.append)
    assert said == [nothing, state(1, 2), state(3, 0)]
    assert next(waiting) == state(4, 0)
