"""Our code on machines that have only Python, Ray and the packages: it travels with the job.

The folders of our packages, wherever the driver has them, go to the cluster as `py_modules`, once a version: Ray keeps
them by the hash of their content. They come before what a machine has installed, so an old copy there is not used. No
wheel is built and nothing is installed on the way. Packages of others do not travel; one that is missing is named
(`refusal`).
"""

import json
import os
from typing import Any

from sweep.execution.versions import folder

TRAVELS = ("sweep", "kernels", "db")
"""Packages that a batch imports."""

LEFT_OUT = ["**/__pycache__", "**/*.duckdb"]


def code_environment() -> dict[str, Any]:
    """The `runtime_env` of a joined cluster; empty where this process is a job that brought its modules itself."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    if "py_modules" in (job.get("runtime_env") or {}):
        return {}
    return {"py_modules": [str(folder(name)) for name in TRAVELS], "excludes": LEFT_OUT}
