"""`leadglass user`: the people who use the archive."""

from typing import Annotated, Any

import typer

from leadglass.cli.access import verbs
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.tables import show as show_table
from leadglass.model import DEFAULT_SITE

app = typer.Typer(help="The people who use the archive.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What the user signs in with.")]


@app.command()
def add(
    name: Name,
    data: Data,
    keys: Keys,
    role: Annotated[
        list[str], typer.Option("--role", help="clinician, steward, administrator or auditor. May be repeated.")
    ],
    site: Annotated[str, typer.Option(help="The unit that the user belongs to.")] = DEFAULT_SITE,
    person: Annotated[str, typer.Option(help="Full name.")] = "",
    config: Config = None,
) -> None:
    """Add a user."""
    params = {"name": name, "roles": list(dict.fromkeys(role)), "site": site, "person": person}
    with verbs(data, keys, config) as archive:
        archive.call("user-add", params)
    typer.echo(f"added {name}")


@app.command("list")
def list_(data: Data, keys: Keys, config: Config = None) -> None:
    """All users."""
    with verbs(data, keys, config) as archive:
        users: list[dict[str, Any]] = archive.call("user-list", {})
    show_table(
        ("name", "person", "roles", "site", "state"),
        ((user["name"], user["person"], ", ".join(user["roles"]), user["site"], _state(user)) for user in users),
    )


@app.command()
def disable(name: Name, data: Data, keys: Keys, config: Config = None) -> None:
    """Shut a user out at once: sessions and tokens end."""
    with verbs(data, keys, config) as archive:
        archive.call("user-disable", {"name": name})
    typer.echo(f"disabled {name}")


def _state(user: dict[str, Any]) -> str:
    if user["disabled"]:
        return "disabled"
    return "enrolled" if user["enrolled"] else "not enrolled yet"
