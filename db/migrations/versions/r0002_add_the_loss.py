"""Name the loss of every run; those of before had the one that their task implied."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # DuckDB alters no table with rows that this transaction has changed, so they are changed last
    op.execute("ALTER TABLE runs ADD COLUMN loss VARCHAR DEFAULT 'exponential'")
    op.execute("ALTER TABLE runs ALTER COLUMN loss SET NOT NULL")
    op.execute("ALTER TABLE runs ALTER COLUMN loss DROP DEFAULT")
    op.execute("UPDATE runs SET loss = 'squared' WHERE task = 'regression'")


def downgrade() -> None:
    op.drop_column("runs", "loss")
