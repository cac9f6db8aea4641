"""Commits batches for ever, telling each number once it is committed: python -m tests.db.committer PATH TAG FIRST."""

import itertools
import sys

from db.store import Store
from tests.db.store_rows import results

RUNS = 40


def batch(tag: str, number: int) -> list[str]:
    return [f"{tag}-{number}-{run}" for run in range(RUNS)]


def main() -> None:
    path, tag, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = Store(path)
    store.create()
    for number in itertools.count(first):
        store.commit(results(batch(tag, number)))
        print(number, flush=True)


if __name__ == "__main__":
    main()
