"""`leadglass assess`: its options. What it does is in `exposing`, loaded only by it."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Look at PACS from outside, as a stranger would.", no_args_is_help=True)


@app.command()
def exposure(
    scope: Annotated[Path, typer.Option(help="TOML file in which the owner says what may be looked at.")],
    targets: Annotated[
        list[str] | None, typer.Argument(help="Part of the scope: addresses, networks, hosts.", metavar="TARGET…")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML page.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write the report as PDF.")] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write the findings as SARIF 2.1.0.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the findings as CSV.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="An earlier JSON report: says what is new, still open, fixed.")
    ] = None,
    every: Annotated[str | None, typer.Option(help="Keep on, once in so long: 30m, 24h, 7d.")] = None,
    yes_i_own_these: Annotated[
        bool, typer.Option("--yes-i-own-these", help="Confirms public networks without being asked.")
    ] = False,
    sign_key: Annotated[
        Path | None, typer.Option(help="Ed25519 key (PEM) to sign with; one made for this report if not given.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Where an interrupted run is kept; beside the scope unless given.")
    ] = None,
    watch: Annotated[
        Path | None, typer.Option(help="TOML file that names who is told of changes: webhook, mail, syslog.")
    ] = None,
) -> None:
    """Count what a stranger could take from the PACS in a scope. Exit code 1 with findings, 0 without."""
    from leadglass.cli.exposing import Asked, Outputs, run

    outputs = Outputs(json=json, html=html, pdf=pdf, sarif=sarif, csv=csv)
    run(
        Asked(
            scope, tuple(targets or ()), outputs, baseline, yes_i_own_these, sign_key, state, every=every, watch=watch
        )
    )


@app.command()
def verify(
    report: Annotated[Path, typer.Argument(help="A report in any of its forms.", metavar="FILE")],
    key: Annotated[Path | None, typer.Option(help="The public key (PEM) that must have signed it.")] = None,
) -> None:
    """Check a report's signature. Exit code 1 if it does not hold."""
    from leadglass.cli.exposing import check

    check(report, key)
