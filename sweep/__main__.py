"""The program `sweep`: signals are answered before anything else is imported."""

from sweep.execution import signals

INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process with its exit code."""
    import sys

    code: object
    try:
        signals.answer()
        from sweep.cli import app

        code = app()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        if not signals.interrupted():
            raise
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    if signals.interrupted() and code:
        code = INTERRUPTED
    _end(code if isinstance(code, int) else int(code is not None))


def _end(code: int) -> None:
    """End at once after an interrupt, or if a batch was left to itself.

    Python would end by SIGINT if the interrupt fell into the import of an extension, whoever has answered it since; and
    XLA does not end in order while it computes.
    """
    import contextlib
    import os
    import sys
    import threading

    if signals.interrupted() or any(thread.name == "sweep-batch" for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    signals.ignore()
    sys.exit(code)


if __name__ == "__main__":
    main()
