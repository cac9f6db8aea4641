"""The command `sweep`: parses, calls, prints. Everything heavy is imported by the command that needs it."""

from sweep.cli.app import app

__all__ = ["app"]
