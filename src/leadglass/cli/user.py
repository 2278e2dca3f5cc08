"""`leadglass user`: the people who use the archive."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from leadglass.cli.access import verbs
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.tables import show as show_table
from leadglass.errors import UsageError
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
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read a first password, in place of making a link.")
    ] = False,
    config: Config = None,
) -> None:
    """Add a user. Prints a link, good once and for 24 hours, by which the user chooses what to sign in with."""
    password = sys.stdin.readline().rstrip("\n") if password_stdin else ""
    if password_stdin and not password:
        raise UsageError("No password came on standard input.", "Write it on one line, or leave out --password-stdin.")
    params = {
        "name": name,
        "roles": list(dict.fromkeys(role)),
        "site": site,
        "person": person,
        "password": password,
        "waits": False,
    }
    with verbs(data, keys, config) as archive:
        secret, port = archive.call("user-add", params)
    typer.echo(f"added {name}")
    if secret:
        typer.echo(f"link, good once and for 24 hours: {setup_link(keys, secret, port)}")
    else:
        typer.echo("One-time codes are set up at the first sign-in.")


@app.command()
def reset(name: Name, data: Data, keys: Keys, config: Config = None) -> None:
    """Forget what a user signs in with, end sessions and tokens, and print a new link."""
    with verbs(data, keys, config) as archive:
        secret, port = archive.call("user-reset", {"name": name})
    typer.echo(f"reset {name}")
    typer.echo(f"link, good once and for 24 hours: {setup_link(keys, secret, port)}")


@app.command("list")
def list_(data: Data, keys: Keys, config: Config = None) -> None:
    """All users."""
    with verbs(data, keys, config) as archive:
        users: list[dict[str, Any]] = archive.call("user-list", {})
    show_table(
        ("name", "person", "roles", "site", "state", "signs in with"),
        (
            (user["name"], user["person"], ", ".join(user["roles"]), user["site"], _state(user), _means(user))
            for user in users
        ),
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


def _means(user: dict[str, Any]) -> str:
    passkeys = user["passkeys"]
    means = (
        ("password and code" if user["code"] else "password", user["password"]),
        (f"{passkeys} passkey{'s' if passkeys != 1 else ''}", passkeys),
        ("the OpenID provider", user["provider"]),
    )
    return ", ".join(words for words, has in means if has)


def setup_link(keys: Path, secret: str, port: int) -> str:
    """The secret stands in the fragment, which browsers send to nobody. The host is the first that `init` was given."""
    from leadglass.archive.provision import first_name
    from leadglass.crypto.keys import KeyDirectory

    return f"https://{first_name(KeyDirectory.open(keys))}:{port}/setup#{secret}"
