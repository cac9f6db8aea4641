"""What a test needs of the machine: where it is not to be had the test is skipped, or fails if it is required.

SWEEP_REQUIRE=namespaces,chromium (or `all`) makes a lack of these an error. Whatever was lacking stands at the end of
pytest's output, so that a feature which no machine ever tests is seen.
"""

import os
import shutil
from typing import NoReturn

import pytest

FEATURES = {
    "namespaces": "several hosts: cut, killed, late, an autoscaler's",
    "small disks": "disks that are full",
    "immutable files": "a store that has become read-only",
    "moto": "cluster.yaml through Ray's AWS provider",
    "chromium": "the report in a browser",
    "playwright": "the report as a reader uses it",
    "proc": "kills at random, none left behind",
    "ray[default]": "a sweep as a Ray job",
    "marimo": "the notebook",
    "sphinx": "the site",
    "cuda": "the same runs on a GPU",
    "extended precision": "saddles of rounded targets",
    "memory maps": "the bound on memory maps",
}
"""Features of a machine, and what is tested with them alone."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""The browser, where there is one."""

PREFIX = "not tested here, "


def lack(feature: str, why: object) -> NoReturn:
    """Skip the running test, or fail it where the feature is required."""
    required = os.environ.get("SWEEP_REQUIRE", "").split(",")
    message = f"{PREFIX}{FEATURES[feature]} (needs {feature}: {str(why).strip()})"
    if feature in required or "all" in required:
        pytest.fail(f"SWEEP_REQUIRE: {message}")
    pytest.skip(message)
