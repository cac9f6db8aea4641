"""A marimo notebook: a sweep, its frame and chart, and one run beside its prediction.

uv run --extra notebook marimo edit examples/notebook.py
"""

import marimo

app = marimo.App(width="medium")


@app.cell
def imports():
    import altair as alt
    import marimo as mo
    import polars as pl

    import sweep
    from analysis import load

    return alt, load, mo, pl, sweep


@app.cell(hide_code=True)
def title(mo):
    mo.md("""
    # Implicit bias of gradient flow, from Python

    Diagonal networks on one sample, x = (1, 2), y = 1: every β on the line β₁ + 2 β₂ = 1 fits it. Where the flow ends
    depends on depth and initialisation scale α. As α falls it must end in the least ℓ1 norm, (0, ½); as α grows, in
    the least weighted ℓ2 norm, (0.2, 0.4).
    """)
    return


@app.cell
def sweep_a_grid(sweep):
    grid = {
        "name": "notebook",
        "task": "regression",
        "data": {"points": {"x": [[1, 2]], "y": [1]}},
        "grid": {"architecture": "diagonal", "depth": [2, 3], "alpha": {"geomspace": [0.001, 10, 9]}},
    }
    ended = sweep.launch(grid, store="notebook.duckdb", executor="local")
    ended
    return (ended,)


@app.cell
def a_frame(ended, load):
    results = load(ended.store)
    exact = results.convergence("kind = 'exact' AND prediction = 'minimum_q_norm'")
    exact.select("depth", "alpha", "beta", "predicted", "distance", "certificate")
    return (results,)


@app.cell
def a_chart(results):
    results.chart("initialisation_scale")
    return


@app.cell
def one_run(pl, sweep):
    run = sweep.run(architecture="diagonal", depth=3, alpha=0.3, data=([[1, 2]], [1]))
    predicted = run.predictions.filter(pl.col("prediction") == "minimum_q_norm")["predicted"][0]
    run
    return predicted, run


@app.cell
def its_orbit(alt, pl, predicted, run):
    points = run.orbit.select("log_time", pl.col("beta").list.to_struct(fields=["β₁", "β₂"])).unnest("beta")
    path = points.filter(pl.col("log_time").is_finite()).unpivot(index="log_time", variable_name="coefficient")
    end = pl.DataFrame({"coefficient": ["β₁", "β₂"], "value": predicted})
    colour = alt.Color("coefficient", title=None)
    lines = alt.Chart(path).mark_line().encode(alt.X("log_time", title="log t"), alt.Y("value", title="β"), colour)
    marks = alt.Chart(end).mark_rule(strokeDash=[4, 4]).encode(alt.Y("value"), colour)
    (lines + marks).properties(title="The orbit, and where theory says it must end (dashed)", width=480, height=240)
    return


if __name__ == "__main__":
    app.run()
