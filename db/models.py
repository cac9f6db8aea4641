"""The tables of a store, their columns and types: the one source of truth for SQL, Arrow and migrations.

What each column holds is said in `db.columns`.

DuckDB shapes them: no keys and no indexes in the database (with a primary key on `runs` DuckDB rewrites the last
100,000 rows at every commit, ten times the time; rows that a foreign key touches cannot be updated or migrated),
statuses as text (native enums never compare clean). What is a key here is kept unique by `db.store`, the only writer,
which holds the file's lock while it looks and inserts. JSON columns hold valid JSON: no NaN. Times are UTC without a
zone. Rows are only inserted, with three exceptions: a failed run, which a later result replaces, what people say of a
sweep (tags, note), and what they tell the store to forget.
"""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, Double, Integer, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import ARRAY

from kernels.observables import OBSERVABLES

Text = Annotated[str, mapped_column(String)]
Json = Annotated[dict[str, Any], mapped_column(JSON)]
Count = Annotated[int, mapped_column(Integer)]
Big = Annotated[int, mapped_column(BigInteger)]
Flag = Annotated[bool, mapped_column(Boolean)]
Number = Annotated[float, mapped_column(Double)]
Moment = Annotated[datetime, mapped_column(DateTime)]
Vector = Annotated[list[float], mapped_column(ARRAY(Double, dimensions=1))]
Words = Annotated[list[str], mapped_column(ARRAY(String, dimensions=1))]


class Base(DeclarativeBase):
    """Root of the models; `Base.metadata` is what migrations are compared with."""


class Sweep(Base):
    """One launch of a grid: what was asked for, and with which code. When it finished is in the view `progress`."""

    __tablename__ = "sweeps"

    sweep_id: Mapped[Text]
    name: Mapped[Text]
    created_at: Mapped[Moment]
    grid: Mapped[Text | None]
    command: Mapped[Text | None]
    git_sha: Mapped[Text | None]
    git_dirty: Mapped[Flag | None]
    git_diff: Mapped[Text | None]
    host: Mapped[Text | None]
    python: Mapped[Text | None]
    packages: Mapped[Json | None]
    counts: Mapped[Json | None]
    tags: Mapped[Words | None]
    note: Mapped[Text | None]
    shard: Mapped[Text | None]

    __mapper_args__ = {"primary_key": ["sweep_id"]}


class SweepRun(Base):
    """A run that a sweep asked for, whether it had to compute it or found it stored."""

    __tablename__ = "sweep_runs"

    sweep_id: Mapped[Text]
    run_id: Mapped[Text]

    __mapper_args__ = {"primary_key": ["sweep_id", "run_id"]}


class Run(Base):
    """One run: every axis typed, where the flow ended, and how it got there. Results are NULL where it failed."""

    __tablename__ = "runs"

    run_id: Mapped[Text]
    status: Mapped[Text]
    message: Mapped[Text | None]
    task: Mapped[Text]
    data: Mapped[Json]
    dataset: Mapped[Text]
    architecture: Mapped[Text]
    depth: Mapped[Count]
    width: Mapped[Count | None]
    filter: Mapped[Count | None]
    init: Mapped[Text]
    init_detail: Mapped[Json | None]
    alpha: Mapped[Number]
    seed: Mapped[Big]
    rtol: Mapped[Number]
    stop: Mapped[Json]
    solver: Mapped[Text]
    record: Mapped[Flag]
    kernel_version: Mapped[Count]
    spec: Mapped[Json]
    dim: Mapped[Count | None]
    samples: Mapped[Count | None]
    parameters: Mapped[Big | None]
    beta: Mapped[Vector | None]
    log_loss: Mapped[Number | None]
    log_time: Mapped[Number | None]
    residual: Mapped[Number | None]
    min_margin: Mapped[Number | None]
    invariant_drift: Mapped[Number | None]
    steps: Mapped[Big | None]
    rejected: Mapped[Big | None]
    wall_seconds: Mapped[Number | None]
    device: Mapped[Text | None]
    sweep_id: Mapped[Text | None]
    created_at: Mapped[Moment]
    # here and below: where a migration put them
    gap_drift: Mapped[Number | None]
    condition: Mapped[Number | None]
    loss: Mapped[Text]
    checksum: Mapped[Big | None]

    __mapper_args__ = {"primary_key": ["run_id"]}


class Prediction(Base):
    """What one statement of theory says of one run, and how far the run ended from it."""

    __tablename__ = "predictions"

    run_id: Mapped[Text]
    prediction: Mapped[Text]
    kind: Mapped[Text]
    distance: Mapped[Number | None]
    certificate: Mapped[Number | None]
    objective: Mapped[Number | None]
    beta: Mapped[Vector | None]
    detail: Mapped[Json | None]
    singular_value: Mapped[Number | None]
    singular_ratio: Mapped[Number | None]
    adjacent_alignment: Mapped[Number | None]
    rank: Mapped[Count | None]

    __mapper_args__ = {"primary_key": ["run_id", "prediction"]}


class PathPrediction(Base):
    """What a prediction says of one recorded point of a run's orbit, and how far from it that point is."""

    __tablename__ = "path_predictions"

    run_id: Mapped[Text]
    prediction: Mapped[Text]
    point: Mapped[Count]
    distance: Mapped[Number | None]
    certificate: Mapped[Number | None]
    objective: Mapped[Number | None]
    beta: Mapped[Vector | None]
    bound: Mapped[Number | None]

    __mapper_args__ = {"primary_key": ["run_id", "prediction", "point"]}


class Saddle(Base):
    """One saddle that a flow from small weights is to visit, and the recorded point of the orbit nearest to it."""

    __tablename__ = "saddles"

    run_id: Mapped[Text]
    number: Mapped[Count]
    predicted: Mapped[Vector]
    log_time_predicted: Mapped[Number | None]
    log_time: Mapped[Number | None]
    point: Mapped[Count | None]
    beta: Mapped[Vector | None]
    distance: Mapped[Number | None]

    __mapper_args__ = {"primary_key": ["run_id", "number"]}


class Trajectory(Base):
    """The recorded points of one run, a list a column, all of one length T; a column for each observable."""

    __table__ = Table(
        "trajectories",
        Base.metadata,
        Column("run_id", String, nullable=False),
        *(
            Column(name, ARRAY(BigInteger if row.whole else Double, dimensions=1), nullable=row.added)
            for name, row in OBSERVABLES.items()
        ),
        Column("beta", ARRAY(Double, dimensions=2), nullable=False),
        Column("residual_integral", ARRAY(Double, dimensions=2), nullable=True),
    )
    __mapper_args__ = {"primary_key": [__table__.c.run_id]}


class Attempt(Base):
    """One try at a batch of runs, or at a single run where `run_id` is given."""

    __tablename__ = "attempts"

    attempt_id: Mapped[Text]
    sweep_id: Mapped[Text | None]
    batch_id: Mapped[Text | None]
    run_id: Mapped[Text | None]
    attempt: Mapped[Count | None]
    compile_key: Mapped[Text | None]
    outcome: Mapped[Text]
    retryable: Mapped[Flag | None]
    error: Mapped[Text | None]
    traceback: Mapped[Text | None]
    worker: Mapped[Text | None]
    started_at: Mapped[Moment | None]
    seconds: Mapped[Number | None]
    runs: Mapped[Big | None]
    versions: Mapped[Json | None]
    compile_seconds: Mapped[Number | None]
    cpu_seconds: Mapped[Number | None]

    __mapper_args__ = {"primary_key": ["attempt_id"]}
