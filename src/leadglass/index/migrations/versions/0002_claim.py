"""Instances that a steward moved keep the claim that they arrived with."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instance", sa.Column("claim", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True))
