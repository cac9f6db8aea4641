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
    # DuckDB alters no table with rows that this transaction has changed, so they are changed last
    op.execute("ALTER TABLE runs ADD COLUMN loss VARCHAR DEFAULT 'exponential'")
    op.execute("ALTER TABLE runs ALTER COLUMN loss SET NOT NULL")
    op.execute("ALTER TABLE runs ALTER COLUMN loss DROP DEFAULT")
    op.execute("UPDATE runs SET loss = 'squared' WHERE task = 'regression'")


def downgrade() -> None:
    for column in ("loss", "condition", "gap_drift"):
        op.drop_column("runs", column)
