"""Originals of disarmed instances, instances that were taken back, and suspended devices."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    wide = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    _table_beside_instances("disarmed", sa.Column("removed", sa.Text(), nullable=False))
    _table_beside_instances("withdrawn", sa.Column("state", sa.Integer(), nullable=False))
    op.create_table(
        "reinspection",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("after_id", wide, nullable=False),
        sa.CheckConstraint("id = 1"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("quarantine_sender", "quarantine", ["principal", "created"], unique=False)
    op.add_column("device", sa.Column("suspended", wide, nullable=True))
    op.add_column("device", sa.Column("resumed", wide, nullable=True))


def _table_beside_instances(name: str, column: "sa.Column[str] | sa.Column[int]") -> None:
    wide = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        name,
        sa.Column("instance_id", wide, autoincrement=False, nullable=False),
        sa.Column("quarantine_id", wide, nullable=False),
        column,
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"]),
        sa.ForeignKeyConstraint(["quarantine_id"], ["quarantine.id"]),
        sa.PrimaryKeyConstraint("instance_id"),
        sqlite_strict=True,
    )
