"""Queries to frames, frames to charts, charts to a report. For users: `load(store)`.

Names are imported when they are asked for, so that what needs none of them stays light.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from analysis.results import Results, load

__all__ = ["Results", "load"]

if not TYPE_CHECKING:  # for a type checker every other name is unknown

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from analysis import results

        return getattr(results, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
