"""Keep with every attempt the versions of the worker's code and packages; of earlier ones they are unknown."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE attempts ADD COLUMN versions JSON")


def downgrade() -> None:
    op.drop_column("attempts", "versions")
