"""What inspection held back."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    wide = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    texts = ("site", "issuer", "sop_class", "sop_instance", "study")
    more = ("transfer_syntax", "principal", "peer", "findings", "state")
    op.create_table(
        "quarantine",
        sa.Column("id", wide, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in (*texts, *more)),
        sa.Column("pack", wide, nullable=False),
        sa.Column("start", wide, nullable=False),
        sa.Column("length", wide, nullable=False),
        sa.Column("object_id", sa.LargeBinary(), nullable=False),
        sa.Column("plain_length", wide, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created", wide, nullable=False),
        sa.Column("decided", wide, nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["pack"], ["pack.number"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest", "site"),
        sqlite_strict=True,
    )
