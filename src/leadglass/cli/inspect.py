"""`leadglass inspect`: its options. What it does is in `inspecting`, loaded only by it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from leadglass.errors import UsageError


def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Files, folders, ZIPs, media with a DICOMDIR.", metavar="PATH…")],
    json: Annotated[Path | None, typer.Option("--json", help="Write a line of JSON for each file.")] = None,
    sarif: Annotated[Path | None, typer.Option("--sarif", help="Write findings as SARIF 2.1.0.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write a table of findings.")] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, max=256, help="Processes; one a core by default.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from what --json holds already.")] = False,
    rules: Annotated[list[Path] | None, typer.Option("--rules", help="Further YARA rules.")] = None,
    no_rules: Annotated[bool, typer.Option("--no-rules", help="Without YARA rules.")] = False,
    clamd: Annotated[str, typer.Option("--clamd", help="Socket of a clamd that scans each file too.")] = "",
    clamd_limit: Annotated[int, typer.Option(help="Bytes that clamd takes of a file (StreamMaxLength).")] = 25
    * 1024
    * 1024,
    decode: Annotated[bool, typer.Option("--decode", help="Decode every frame too, in a sandbox.")] = False,
    ocr: Annotated[
        bool, typer.Option("--ocr", help="Read text burned into a sample of frames too, in a sandbox.")
    ] = False,
) -> None:
    """Inspect DICOM files without storing them. Exit code 1 with findings, 0 without."""
    if resume and json is None:
        raise UsageError("--resume needs the --json that an earlier run wrote.")
    from leadglass.cli.inspecting import Reports, run
    from leadglass.cli.tessdata import models
    from leadglass.inspection.batch import Settings

    settings = Settings(not no_rules, tuple(rules or ()), clamd, clamd_limit, decode, str(models()) if ocr else "")
    if not run(paths, settings, Reports(json, csv, sarif, resume), jobs):
        sys.exit(1)
