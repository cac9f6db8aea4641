"""Keep of a batch's seconds which went into compiling, and its CPU seconds. Those of before do not say."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COLUMNS = ("compile_seconds", "cpu_seconds")


def upgrade() -> None:
    for column in COLUMNS:
        op.execute(f"ALTER TABLE attempts ADD COLUMN {column} DOUBLE")


def downgrade() -> None:
    for column in COLUMNS:
        op.drop_column("attempts", column)
