"""YAML within bounds: a file of a stranger's ends in an error at once, not in minutes or gigabytes.

The round-trip loader, for it knows the line of every value. It reads some 100 kB a second, which bounds the file's
size; aliases are counted as often as they are used.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import ScalarNode

from sweep.grid.mistakes import GridError

BYTES = 1 << 20
DEPTH = 32
"""Lists and mappings inside each other, at most."""

VALUES = 100_000
"""Values of a file, at most, aliases written out."""

TOO_MANY = f"more than {VALUES:,} values, aliases written out; write fewer, or data into a file of their own"

DIGITS = 1000
"""Characters of a number, at most."""

LARGEST = 2**63
"""Whole numbers are smaller, as a store holds them."""


class BoundedComposer(Composer):
    """Raises a MarkedYAMLError for what nests deep, and for numbers that take long to read."""

    levels = 0
    nodes = 0

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.warn_double_anchors = False  # a name may be given again, and a warning would repeat the file's text

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.levels += 1
        self.nodes += 1
        if self.levels > DEPTH or self.nodes > VALUES:
            deep = f"lists and mappings stand more than {DEPTH} deep inside each other; a grid needs fewer"
            problem = deep if self.levels > DEPTH else TOO_MANY
            raise MarkedYAMLError(problem=problem, problem_mark=self.parser.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.levels -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> Any:
        node: ScalarNode = super().compose_scalar_node(anchor)
        if len(node.value) > DIGITS and not str(node.tag).endswith(":str"):
            raise MarkedYAMLError(
                problem=f"a number of {len(node.value):,} characters; write at most {DIGITS:,}",
                problem_mark=node.start_mark,
            )
        return node


def load(text: str) -> Any:
    """ruamel's nodes. Raises YAMLError and ValueError."""
    yaml = YAML(typ="rt")
    yaml.Composer = BoundedComposer
    try:
        return yaml.load(text)
    except (YAMLError, ValueError):
        raise
    except Exception as error:  # ruamel trips over a few texts, as over a mapping that is merged into itself
        raise YAMLError(f"it cannot be read ({type(error).__name__}); write it without anchors and tags") from error


def read_text(path: Path) -> str:
    """The text of a grid file. Raises GridError."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES + 1)
        if len(content) > BYTES:
            raise GridError(
                [f"{path}: larger than {BYTES >> 20} MiB; keep data in a file of their own, as in "
                 "data: {file: samples.csv, target: y}"]
            )  # fmt: skip
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise GridError([f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})"]) from error
    except OSError as error:
        raise GridError([f"{path}: cannot be read: {error.strerror or error}"]) from error
