"""What there is to measure: python -m benchmarks; each is one command, `uv run python benchmarks/NAME.py [--quick]`."""

from benchmarks.common import table

BENCHMARKS = {
    "regression": "seconds a run at equal error, alpha = 1e-6 to 10, beside scipy with one number a coordinate",
    "classification": "the same to -log Loss = 1e2, 1e4, 1e6, beside scipy in the project's own clock",
    "columns": "speed and failures by the order of the extrapolation, on which the kernel's choice rests",
    "growth": "cost of a run as samples, dimension, width, depth, alpha, lanes and batch grow",
    "devices": "runs a second on a CUDA device, beside one CPU core and all of them",
    "predictions": "what a light run costs besides its integration: predictions, comparison and rows",
    "orchestration": "`sweep launch` beside its kernel alone, one worker and two, and beside Ray Tune",
    "scale": "whether driver and store keep up with a million runs, whose results are made up",
    "store": "rows a second into and out of the store",
}

if __name__ == "__main__":
    print(table([{"benchmark": f"benchmarks/{name}.py", "measures": what} for name, what in BENCHMARKS.items()]))
