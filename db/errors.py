"""What can be wrong with a store, each with a message for people: what it is, where, and what to do."""

# ruff: noqa: N818 - each name says what is the matter


class StoreError(Exception):
    """The store could not be used; it is as it was before."""


class NoStore(StoreError):
    """There is no file, or no folder to put it into."""


class NotAStore(StoreError):
    """A file of another kind, a damaged one, or a database of something else."""


class Damaged(NotAStore):
    """A store of which something can no longer be read."""


class StoreDenied(StoreError):
    """The operating system does not let us read or write."""


class StoreLocked(StoreError):
    """Other processes held the file for longer than the timeout; nothing was written, so the caller may try again.

    Attributes:
        pid: the process that held it last, where DuckDB says so.
    """

    def __init__(self, message: str, pid: int | None = None):
        super().__init__(message)
        self.pid = pid


class OlderSchema(StoreError):
    """Written by an older version of this program: `upgrade` brings it up to date."""


class NewerSchema(StoreError):
    """Written by a newer version of this program, or of DuckDB."""


class QueryError(StoreError):
    """The SQL is wrong, or it would write."""


class TooMuch(QueryError):
    """The query would take more time or memory than the limits allow."""
