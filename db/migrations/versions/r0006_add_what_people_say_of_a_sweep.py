"""Keep with a sweep its tags, a note and the shard of a grid that it was. Sweeps of before have none."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = {"tags": "VARCHAR[]", "note": "VARCHAR", "shard": "VARCHAR"}


def upgrade() -> None:
    for column, kind in COLUMNS.items():
        op.execute(f"ALTER TABLE sweeps ADD COLUMN {column} {kind}")


def downgrade() -> None:
    for column in COLUMNS:
        op.drop_column("sweeps", column)
