"""Gradient flow on linear networks: plan a grid, launch it, run one of its runs. See docs/python.md.

Names are imported when they are asked for: the program `sweep` has to answer signals before anything heavy is here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from analysis.errors import AnalysisError
    from db.errors import StoreError
    from kernels.spec import InputError
    from sweep.api import Planned, Run, launch, plan, run
    from sweep.execution.executors import ExecutorError
    from sweep.execution.session import Ended
    from sweep.grid.mistakes import GridError

__all__ = [
    "AnalysisError", "Ended", "ExecutorError", "GridError", "InputError", "Planned", "Run", "StoreError", "launch",
    "plan", "run",
]  # fmt: skip

if not TYPE_CHECKING:  # for a type checker every other name is unknown
    _ELSEWHERE = {
        "AnalysisError": "analysis.errors",
        "Ended": "sweep.execution.session",
        "ExecutorError": "sweep.execution.executors",
        "GridError": "sweep.grid.mistakes",
        "InputError": "kernels.spec",
        "StoreError": "db.errors",
    }

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_ELSEWHERE.get(name, "sweep.api")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
