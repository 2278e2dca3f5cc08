"""Which events tell who has seen what of a study."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "disclosure",
        sa.Column("study_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["event.id"],
        ),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["log_salt.study_id"],
        ),
        sa.PrimaryKeyConstraint("study_id", "event_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO disclosure SELECT study_id, event.id FROM event JOIN term ON term.id = event.action "
        "WHERE study_id IS NOT NULL AND term.text IN ('retrieve', 'retrieve-end', 'verification-failed')"
    )
