"""`leadglass token`: bearer tokens for programs that speak DICOMweb."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from leadglass.cli.access import verbs
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.tables import show as show_table
from leadglass.errors import UsageError

app = typer.Typer(help="Bearer tokens for programs that speak DICOMweb.", no_args_is_help=True)

_UNITS = {"m": 60, "h": 3600, "d": 86_400}


@app.command()
def create(
    data: Data,
    keys: Keys,
    user: Annotated[str, typer.Option("--user", help="On whose behalf it acts.")],
    expires: Annotated[str, typer.Option(help="How long it lives: 30m, 1h, 90d.")],
    role: Annotated[str, typer.Option(help="Which of the user's roles, when there are several.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="An operation that it may do: query, retrieve, store …")
    ] = None,
    patient: Annotated[
        list[str] | None,
        typer.Option("--patient", help="A Patient ID that it may see; no other then. May be repeated."),
    ] = None,
    issuer: Annotated[str, typer.Option(help="Issuer of these Patient IDs.")] = "",
    config: Config = None,
) -> None:
    """Make a token. It is shown this once, as the last line printed."""
    params = {
        "user": user,
        "life_us": _seconds(expires) * 1_000_000,
        "role": role,
        "operations": list(dict.fromkeys(scope or ())),
        "patients": [[patient_id, issuer] for patient_id in dict.fromkeys(patient or ())],
    }
    with verbs(data, keys, config) as archive:
        made: str = archive.call("token-create", params)
    typer.echo(f"A bearer token for {user}, good for {expires}. Whoever has it can do what it allows:")
    typer.echo(made)


@app.command("list")
def list_(data: Data, keys: Keys, config: Config = None) -> None:
    """All tokens, by the names under which they stand in the log."""
    with verbs(data, keys, config) as archive:
        tokens: list[dict[str, Any]] = archive.call("token-list", {})
    show_table(
        ("name", "user", "role", "scope", "patients", "made by", "expires", "state"),
        (
            (
                token["name"],
                token["user"],
                token["role"],
                ", ".join(token["operations"]) or "all of the role",
                "all" if token["patients"] is None else str(token["patients"]),
                token["created_by"],
                datetime.fromtimestamp(token["expires"] / 1_000_000, UTC).isoformat(timespec="minutes"),
                "revoked" if token["revoked"] else "",
            )
            for token in tokens
        ),
    )


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="As `token list` shows it.")],
    data: Data,
    keys: Keys,
    config: Config = None,
) -> None:
    """End a token at once."""
    with verbs(data, keys, config) as archive:
        archive.call("token-revoke", {"name": name})
    typer.echo(f"revoked {name}")


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,4})([mhd])", text)
    if found is None:
        raise UsageError(f"{text!r} is not a time span.", "Write for example 30m, 1h or 90d.")
    return int(found[1]) * _UNITS[found[2]]
