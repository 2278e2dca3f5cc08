"""Options that every command shares."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path, typer.Option("--data", envvar="LEADGLASS_DATA", help="Directory of the archive's data.")]
Keys = Annotated[Path, typer.Option("--keys", envvar="LEADGLASS_KEYS", help="Directory of its keys, kept apart.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", envvar="LEADGLASS_CONFIG", help="Settings in TOML; see docs/configuration.md."),
]
