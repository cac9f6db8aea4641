"""What a batch notes, and how it is told to end, with Ray played by a few lines."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from sweep.execution import board
from sweep.execution.board import EVERY_SECONDS, Board, Noted


class RayError(Exception):
    """As Ray's."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(board.time, "monotonic", lambda: now[0])
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(exceptions=SimpleNamespace(RayError=RayError)))
    return now


def remote(method: Any) -> Any:
    """An actor's method: the call is made when its answer is asked for."""

    def call(*arguments: Any) -> Any:
        answer = SimpleNamespace(result=lambda timeout: method(*arguments))
        return SimpleNamespace(future=lambda: answer)

    return SimpleNamespace(note=SimpleNamespace(remote=call))


def test_a_board_keeps_what_is_asked_for_and_forgets_the_rest() -> None:
    kept = Board()
    assert [kept.note(number, 10 * number) for number in (1, 2, 3)] == [False] * 3
    assert kept.ended({2, 3, 4}) == {2: 20, 3: 30}
    assert kept.ended({1, 2}) == {2: 20}
    kept.stop()
    assert kept.note(2, 21) is True


def test_a_batch_notes_now_and_then_and_ends_when_told_to(clock: list[float]) -> None:
    kept = Board()
    noted = Noted(remote(kept.note), 7)
    assert not noted(0)
    assert not noted(5)  # too early to be noted
    assert kept.ended({7}) == {7: 0}
    clock[0] += EVERY_SECONDS
    kept.stop()
    assert noted(9)
    assert kept.ended({7}) == {7: 9}


def test_a_board_that_never_answers_is_asked_ever_more_rarely_until_it_answers(clock: list[float]) -> None:
    """Each question that is not answered costs a worker a second."""
    asked, late = [], [True]

    def note(number: int, ended: int) -> bool:
        asked.append(ended)
        if late[0]:
            raise TimeoutError
        return False

    noted = Noted(remote(note), 7)
    for second in range(40):
        assert not noted(second)
        late[0] = second < 29
        clock[0] += 1.0
    assert asked == [0, 2, 6, 14, *range(30, 40)]


def test_a_board_that_is_late_is_asked_again_and_one_that_is_gone_is_not(clock: list[float]) -> None:
    calls = []

    def note(number: int, ended: int) -> bool:
        calls.append(ended)
        raise TimeoutError if len(calls) == 1 else RayError

    noted = Noted(remote(note), 7)
    for ended in range(4):
        assert not noted(ended)
        clock[0] += EVERY_SECONDS
    assert calls == [0, 2]
