"""Keep what is predicted along the path: saddles, points of the orbit, and the integral of the residual.

Runs of before have none of it.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = {"singular_value": "DOUBLE", "singular_ratio": "DOUBLE", "adjacent_alignment": "DOUBLE", "rank": "INTEGER"}


def upgrade() -> None:
    for column, kind in COLUMNS.items():
        op.execute(f"ALTER TABLE predictions ADD COLUMN {column} {kind}")
    op.execute("ALTER TABLE trajectories ADD COLUMN residual_integral DOUBLE[][]")
    op.execute(
        "CREATE TABLE path_predictions (run_id VARCHAR NOT NULL, prediction VARCHAR NOT NULL, point INTEGER NOT NULL, "
        "distance DOUBLE, certificate DOUBLE, objective DOUBLE, beta DOUBLE[])"
    )
    op.execute(
        "CREATE TABLE saddles (run_id VARCHAR NOT NULL, number INTEGER NOT NULL, predicted DOUBLE[] NOT NULL, "
        "log_time_predicted DOUBLE, log_time DOUBLE, point INTEGER, beta DOUBLE[], distance DOUBLE)"
    )


def downgrade() -> None:
    op.drop_table("saddles")
    op.drop_table("path_predictions")
    op.drop_column("trajectories", "residual_integral")
    for column in COLUMNS:
        op.drop_column("predictions", column)
