"""`leadglass device`: enrolment of scanners, workstations and other programs that speak DICOM."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from leadglass.cli.access import verbs
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.tables import show as show_table
from leadglass.errors import UsageError
from leadglass.model import DEFAULT_SITE

app = typer.Typer(help="Scanners, workstations and other programs that speak DICOM.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The device's name here.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write NAME.key, NAME.crt and ca.crt to this directory.")]
Csr = Annotated[Path | None, typer.Option("--csr", help="Certify the key of this request; needs --out.")]
Cert = Annotated[Path | None, typer.Option("--cert", help="Take the device's own certificate.")]
Ca = Annotated[Path | None, typer.Option("--ca", help="With --cert: the authority that it must chain to.")]
P12 = Annotated[Path | None, typer.Option("--p12", help="Write key and certificate to this PKCS#12 file.")]


@app.command()
def add(
    name: Name,
    data: Data,
    keys: Keys,
    aet: Annotated[list[str], typer.Option("--aet", help="An AE title that it calls from. May be repeated.")],
    role: Annotated[list[str], typer.Option("--role", help="modality, clinician or steward. May be repeated.")],
    site: Annotated[str, typer.Option(help="The unit that owns it.")] = DEFAULT_SITE,
    destination: Annotated[str, typer.Option(help="HOST:PORT to which objects may be sent.")] = "",
    out: Out = None,
    csr: Csr = None,
    cert: Cert = None,
    ca: Ca = None,
    p12: P12 = None,
    may_revise: Annotated[bool, typer.Option("--may-revise", help="Its corrected headers show at once.")] = False,
    person: Annotated[str, typer.Option(help="Who works at it, if it does not send a user's identity.")] = "",
    issuer: Annotated[str, typer.Option(help="Issuer of Patient ID for objects that name none.")] = "",
    private_sop_class: Annotated[
        list[str] | None, typer.Option("--private-sop-class", help="UID that it may store. May be repeated.")
    ] = None,
    config: Config = None,
) -> None:
    """Enrol a device. Its private key is made here (--out, --p12) or never leaves it (--csr, --cert)."""
    from leadglass.cli.credential import handing_over, prepare

    params = {
        "name": name,
        "site": site,
        "roles": _roles(role),
        "aets": list(dict.fromkeys(aet)),
        "issuer": issuer,
        "person": person,
        "may_revise": may_revise,
        "private_sop_classes": private_sop_class or [],
        "destination": destination,
    }
    prepared = prepare(keys, name, out=out, csr=csr, cert=cert, ca=ca, p12=p12)
    with handing_over(prepared), verbs(data, keys, config) as archive:
        archive.call("device-add", params | prepared.params())
    typer.echo(f"enrolled {name}: key {prepared.certificate.fingerprint[:16]}…, until {prepared.until}")
    if "clinician" in role and not person:
        typer.echo(
            "note: nobody is named for it. Unless it sends a user's identity, what is seen there is recorded for the "
            "device alone; name somebody with --person.",
            err=True,
        )


@app.command()
def renew(
    name: Name,
    data: Data,
    keys: Keys,
    out: Out = None,
    csr: Csr = None,
    cert: Cert = None,
    ca: Ca = None,
    p12: P12 = None,
    config: Config = None,
) -> None:
    """Give a device a further certificate. Its present one goes on for 30 days."""
    from leadglass.cli.credential import handing_over, prepare

    prepared = prepare(keys, name, out=out, csr=csr, cert=cert, ca=ca, p12=p12)
    with handing_over(prepared), verbs(data, keys, config) as archive:
        if archive.call("device-show", {"name": name})["disabled"]:
            raise UsageError(f"{name} is disabled, and stays so.", "Enrol it under a new name with a new key.")
        archive.call("device-renew", {"name": name, **prepared.params()})
    typer.echo(f"renewed {name} until {prepared.until}; its earlier certificates go on for 30 days")


@app.command()
def disable(name: Name, data: Data, keys: Keys, config: Config = None) -> None:
    """Shut a device out at once, live associations included."""
    with verbs(data, keys, config) as archive:
        archive.call("device-disable", {"name": name})
    typer.echo(f"disabled {name}")


@app.command()
def enable(name: Name, data: Data, keys: Keys, config: Config = None) -> None:
    """Let a suspended device in again. One that is disabled stays so."""
    with verbs(data, keys, config) as archive:
        archive.call("device-enable", {"name": name})
    typer.echo(f"enabled {name}")


@app.command("list")
def list_(data: Data, keys: Keys, config: Config = None) -> None:
    """All devices."""
    with verbs(data, keys, config) as archive:
        devices: list[dict[str, Any]] = archive.call("device-list", {})
    show_table(
        ("name", "AE titles", "roles", "site", "person", "valid until", "state"),
        (
            (
                device["name"],
                ", ".join(device["aets"]),
                ", ".join(device["roles"]),
                device["site"],
                device["person"],
                _date(max(key["not_after"] for key in device["keys"])),
                _state(device),
            )
            for device in devices
        ),
    )


@app.command()
def log(
    name: Name,
    data: Data,
    keys: Keys,
    limit: Annotated[int, typer.Option(help="Newest lines shown.")] = 50,
    config: Config = None,
) -> None:
    """What the device did at the door, and every rejection, newest first."""
    with verbs(data, keys, config) as archive:
        events: list[dict[str, Any]] = archive.call("device-log", {"name": name, "limit": limit})
    for event in events:
        shown = " ".join(
            f"{key}={value!r}" for key, value in event.items() if key not in ("time", "action") and value != ""
        )
        typer.echo(f"{event['time']}  {event['action']}  {shown}")
    if not events:
        typer.echo(f"{name} has not been at the door.")


@app.command()
def test(name: Name, data: Data, keys: Keys, config: Config = None) -> None:
    """Say in words why a device cannot connect. Exit code 1 when something stands in its way."""
    with verbs(data, keys, config) as archive:
        found: dict[str, Any] = archive.call("device-test", {"name": name})
    typer.echo(f"{name} last connected: {found['last_seen'] or 'never'}")
    for problem in found["problems"]:
        typer.echo(f"PROBLEM  {problem}")
    for note in found["notes"]:
        typer.echo(f"note     {note}")
    for refusal in found["refusals"]:
        typer.echo(f"refused  {refusal}")
    if not found["problems"] and not found["refusals"]:
        typer.echo("Nothing stands in its way here, and nothing that looks like it was refused lately.")
    raise typer.Exit(1 if found["problems"] or found["refusals"] else 0)


def _roles(given: list[str]) -> list[str]:
    unknown = sorted(set(given) - {"modality", "clinician", "steward"})
    if unknown:
        raise UsageError(f"No device role is called {', '.join(unknown)}.", "Use modality, clinician or steward.")
    return list(dict.fromkeys(given))


def _state(device: dict[str, Any]) -> str:
    if device["disabled"]:
        return "disabled"
    return "suspended" if device["suspended"] is not None else "enrolled"


def _date(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).date().isoformat()
