"""Generations of series, documents prepared of them, and what a study says of its series."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    wide = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("series", sa.Column("generation", wide, server_default=sa.text("0"), nullable=False))
    op.add_column("study", sa.Column("series_shown", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("study", sa.Column("modalities", sa.Text(), nullable=True))
    op.create_table(
        "series_document",
        sa.Column("series_id", wide, autoincrement=False, nullable=False),
        sa.Column("generation", wide, nullable=False),
        sa.Column("form", sa.Integer(), nullable=False),
        sa.Column("prepared", wide, nullable=False),
        sa.Column("size", wide, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"],
            ["series.id"],
        ),
        sa.PrimaryKeyConstraint("series_id"),
        sqlite_strict=True,
    )
    op.create_index("series_document_age", "series_document", ["prepared", "series_id", "size"], unique=False)
    op.drop_index("study_date", "study")
    op.execute(
        "UPDATE study SET series_shown = (SELECT count(*) FROM series WHERE study_id = study.id AND instances > 0), "
        "modalities = (SELECT group_concat(modality, char(92)) FROM (SELECT DISTINCT modality FROM series "
        "WHERE study_id = study.id AND instances > 0 AND modality IS NOT NULL ORDER BY modality))"
    )
    op.create_index(
        "study_date",
        "study",
        ["date", "id", "modalities"],
        unique=False,
        sqlite_where=sa.text("date IS NOT NULL"),
    )
