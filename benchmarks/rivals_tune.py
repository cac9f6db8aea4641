"""One trial a run: a sample of the same runs through Ray Tune. Started by orchestration.py; needs ray[tune]."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def trials(specs: Sequence[dict[str, Any]], workers: int, reuse: bool, folder: Path) -> dict[str, Any]:
    """Seconds of `Tuner.fit` over one trial a spec, and the rate once every worker has compiled.

    Tune's own best: no loggers, no checkpoints, as many trials at once as there are workers; with `reuse` actors stay
    for the next trial, so that each imports JAX once.
    """
    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}
    from sweep.execution.ray_tasks import start_here

    start_here(workers)
    from ray import tune

    def trial(config: dict[str, Any]) -> None:
        from sweep.execution.worker import prepare

        prepare(one_core=True)
        from kernels.data.kinds import load
        from kernels.simulate import simulate
        from kernels.spec import RunSpec

        spec = RunSpec.from_dict(config["spec"])
        (result,) = simulate([(spec, load(spec.data, spec.task))])
        tune.report({"residual": result.residual, "converged": result.status == "converged", "at": time.time()})

    begin = time.time()
    found = tune.Tuner(
        tune.with_resources(trial, {"cpu": 1}),
        param_space={"spec": tune.grid_search(list(specs))},
        tune_config=tune.TuneConfig(reuse_actors=reuse, max_concurrent_trials=workers),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()
    seconds = time.time() - begin
    metrics = [found[index].metrics or {} for index in range(len(found))]
    ends = sorted(metric["at"] for metric in metrics if "at" in metric)
    skipped = min(2 * workers, len(ends) - 2)
    return {
        "reuse_actors": reuse,
        "workers": workers,
        "trials": len(specs),
        "converged": sum(bool(metric.get("converged")) for metric in metrics),
        "seconds": seconds,
        "runs_per_second": len(specs) / seconds,
        "steady_runs_per_second": (len(ends) - 1 - skipped) / (ends[-1] - ends[skipped]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("specs", type=Path, help="JSON list of runs")
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--reuse", action="store_true")
    chosen = parser.parse_args()
    specs = json.loads(chosen.specs.read_text(encoding="utf-8"))
    found = trials(specs, chosen.workers, chosen.reuse, chosen.output.parent / "tune")
    chosen.output.write_text(json.dumps(found), encoding="utf-8")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
