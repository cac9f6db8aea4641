"""Name the loss of every run, its drift over the gaps that decide, and the condition of its data.

Runs of before had the loss that their task implied; of them the others are unknown.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE runs ADD COLUMN gap_drift DOUBLE")
    op.execute("ALTER TABLE runs ADD COLUMN condition DOUBLE")
    # no UPDATE: DuckDB alters no table with rows that this transaction has changed, and later revisions do
    op.execute("ALTER TABLE runs ADD COLUMN loss VARCHAR")
    of_task = "CASE task WHEN 'regression' THEN 'squared' ELSE 'exponential' END"
    op.execute(f"ALTER TABLE runs ALTER COLUMN loss TYPE VARCHAR USING {of_task}")
    op.execute("ALTER TABLE runs ALTER COLUMN loss SET NOT NULL")


def downgrade() -> None:
    for column in ("loss", "condition", "gap_drift"):
        op.drop_column("runs", column)
