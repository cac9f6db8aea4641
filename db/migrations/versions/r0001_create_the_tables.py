"""Create the tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sa.Column("sweep_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("grid", sa.String()),
        sa.Column("command", sa.String()),
        sa.Column("git_sha", sa.String()),
        sa.Column("git_dirty", sa.Boolean()),
        sa.Column("git_diff", sa.String()),
        sa.Column("host", sa.String()),
        sa.Column("python", sa.String()),
        sa.Column("packages", sa.JSON()),
        sa.Column("counts", sa.JSON()),
    )
    op.create_table(
        "sweep_runs",
        sa.Column("sweep_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("message", sa.String()),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("architecture", sa.String(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer()),
        sa.Column("filter", sa.Integer()),
        sa.Column("init", sa.String(), nullable=False),
        sa.Column("init_detail", sa.JSON()),
        sa.Column("alpha", sa.Double(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("rtol", sa.Double(), nullable=False),
        sa.Column("stop", sa.JSON(), nullable=False),
        sa.Column("solver", sa.String(), nullable=False),
        sa.Column("record", sa.Boolean(), nullable=False),
        sa.Column("kernel_version", sa.Integer(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("dim", sa.Integer()),
        sa.Column("samples", sa.Integer()),
        sa.Column("parameters", sa.BigInteger()),
        sa.Column("beta", sa.ARRAY(sa.Double(), dimensions=1)),
        sa.Column("log_loss", sa.Double()),
        sa.Column("log_time", sa.Double()),
        sa.Column("residual", sa.Double()),
        sa.Column("min_margin", sa.Double()),
        sa.Column("invariant_drift", sa.Double()),
        sa.Column("steps", sa.BigInteger()),
        sa.Column("rejected", sa.BigInteger()),
        sa.Column("wall_seconds", sa.Double()),
        sa.Column("device", sa.String()),
        sa.Column("sweep_id", sa.String()),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "predictions",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("prediction", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("distance", sa.Double()),
        sa.Column("certificate", sa.Double()),
        sa.Column("objective", sa.Double()),
        sa.Column("beta", sa.ARRAY(sa.Double(), dimensions=1)),
        sa.Column("detail", sa.JSON()),
    )
    op.create_table(
        "trajectories",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("step", sa.ARRAY(sa.BigInteger(), dimensions=1), nullable=False),
        sa.Column("log_time", sa.ARRAY(sa.Double(), dimensions=1), nullable=False),
        sa.Column("log_loss", sa.ARRAY(sa.Double(), dimensions=1), nullable=False),
        sa.Column("residual", sa.ARRAY(sa.Double(), dimensions=1), nullable=False),
        sa.Column("min_margin", sa.ARRAY(sa.Double(), dimensions=1), nullable=False),
        sa.Column("norm", sa.ARRAY(sa.Double(), dimensions=1), nullable=False),
        sa.Column("alignment", sa.ARRAY(sa.Double(), dimensions=1), nullable=False),
        sa.Column("beta", sa.ARRAY(sa.Double(), dimensions=2), nullable=False),
    )
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.String(), nullable=False),
        sa.Column("sweep_id", sa.String()),
        sa.Column("batch_id", sa.String()),
        sa.Column("run_id", sa.String()),
        sa.Column("attempt", sa.Integer()),
        sa.Column("compile_key", sa.String()),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("retryable", sa.Boolean()),
        sa.Column("error", sa.String()),
        sa.Column("traceback", sa.String()),
        sa.Column("worker", sa.String()),
        sa.Column("started_at", sa.DateTime()),
        sa.Column("seconds", sa.Double()),
        sa.Column("runs", sa.BigInteger()),
    )


def downgrade() -> None:
    for table in ("attempts", "trajectories", "predictions", "runs", "sweep_runs", "sweeps"):
        op.drop_table(table)
