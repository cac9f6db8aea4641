"""What a reader of the report sees of a single run: its axes, what theory says of it, and its path."""

from analysis.frames.frame import Frame

CARDS = Frame(
    sql="""
SELECT
    r.run_id, r.status, r.task, r.loss, r.dataset, r.architecture, r.depth, r.width, r.filter, r.init, r.alpha, r.seed,
    r.dim, r.samples, r.residual, r.log_loss, r.steps,
    (
        SELECT list({prediction: p.prediction, kind: p.kind, distance: p.distance, certificate: p.certificate}
            ORDER BY p.kind, p.prediction)
        FROM predictions p WHERE p.run_id = r.run_id
    ) AS predictions,
    t.log_time, t.beta
FROM runs r
LEFT JOIN trajectories t USING (run_id)
ORDER BY r.run_id
""",
    columns={
        "run_id": "the run",
        "status": "how it ended",
        "task": "task",
        "loss": "loss",
        "dataset": "data set",
        "architecture": "architecture",
        "depth": "depth L",
        "width": "width",
        "filter": "length of the filters",
        "init": "initialisation",
        "alpha": "initialisation scale",
        "seed": "seed",
        "dim": "features",
        "samples": "samples",
        "residual": "relative residual at the end (regression)",
        "log_loss": "log of the loss at the end (classification)",
        "steps": "accepted steps",
        "predictions": "a list: prediction, kind, distance, certificate",
        "log_time": "log of time at the recorded points",
        "beta": "linear coefficients at the recorded points",
    },
)
