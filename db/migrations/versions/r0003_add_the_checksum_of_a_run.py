"""Keep with every run a checksum over what is stored of it. Runs of before have none."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE runs ADD COLUMN checksum BIGINT")


def downgrade() -> None:
    op.drop_column("runs", "checksum")
