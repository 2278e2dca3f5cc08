"""`leadglass device`: enrolment of scanners, workstations and other programs that speak DICOM."""

import os
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from leadglass.archive.provision import authority, authority_certificate
from leadglass.cli.access import verbs
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.tables import show as show_table
from leadglass.crypto.certificates import (
    Certificate,
    Issued,
    from_csr,
    issue_device,
    new_device,
    parse_certificate,
    pkcs12_bundle,
    require_client_use,
)
from leadglass.crypto.keys import KeyDirectory
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
    _check_name(name)
    made = _credential(KeyDirectory.open(keys), name, csr, cert, p12, out)
    password = _password(p12)
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
        **_encoded(made, cert, ca),
    }
    with verbs(data, keys, config) as archive:
        archive.call("device-add", params)
    _write(KeyDirectory.open(keys), name, made, out, p12, password)
    typer.echo(f"enrolled {name}: key {_certificate(made).fingerprint[:16]}…, until {_day(_certificate(made))}")
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
    made = _credential(KeyDirectory.open(keys), name, csr, cert, p12, out)
    password = _password(p12)
    with verbs(data, keys, config) as archive:
        archive.call("device-renew", {"name": name, **_encoded(made, cert, ca)})
    _write(KeyDirectory.open(keys), name, made, out, p12, password)
    typer.echo(f"renewed {name} until {_day(_certificate(made))}; its earlier certificates go on for 30 days")


@app.command()
def disable(name: Name, data: Data, keys: Keys, config: Config = None) -> None:
    """Shut a device out at once, live associations included."""
    with verbs(data, keys, config) as archive:
        archive.call("device-disable", {"name": name})
    typer.echo(f"disabled {name}")


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
                "disabled" if device["disabled"] else "enrolled",
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
    for refusal in found["refusals"]:
        typer.echo(f"refused  {refusal}")
    if not found["problems"] and not found["refusals"]:
        typer.echo("Nothing stands in its way here, and nothing that looks like it was refused lately.")
    raise typer.Exit(1 if found["problems"] or found["refusals"] else 0)


def _credential(
    keys: KeyDirectory, name: str, csr: Path | None, cert: Path | None, p12: Path | None, out: Path | None
) -> Issued | Certificate:
    """A new key with its certificate, or a certificate for a key that stays on the device."""
    if sum(given is not None for given in (csr, cert, p12)) > 1 or (cert is not None and out is not None):
        raise UsageError("Only one of --csr, --cert and --p12 can be given, and --cert goes without --out.")
    if cert is not None:
        given = parse_certificate(_read(cert))
        require_client_use(given)
        return given
    if csr is not None:
        if out is None:
            raise UsageError("--csr needs --out, where the certificate is written.")
        return issue_device(authority(keys), name, from_csr(_read(csr)))
    if out is None and p12 is None:
        raise UsageError("Say where the certificate goes or comes from: --out, --csr, --cert or --p12.")
    return new_device(authority(keys), name)


def _encoded(made: Issued | Certificate, cert: Path | None, ca: Path | None) -> dict[str, str]:
    if ca is not None and cert is None:
        raise UsageError("--ca goes with --cert.")
    certificate = _certificate(made)
    # A certificate given without its authority is pinned: it is its own trust anchor.
    anchor = b"" if cert is None else (_read(ca) if ca is not None else certificate.der)
    return {
        "certificate": b64encode(certificate.der).decode(),
        "anchor": b64encode(parse_certificate(anchor).der).decode() if anchor else "",
    }


def _password(p12: Path | None) -> str:
    """Asked for before anything is enrolled: without it the key could not be handed out."""
    if p12 is None:
        return ""
    return str(typer.prompt("Password of the PKCS#12 file", hide_input=True, confirmation_prompt=True))


def _write(
    keys: KeyDirectory, name: str, made: Issued | Certificate, out: Path | None, p12: Path | None, password: str
) -> None:
    ours = authority_certificate(keys)
    if p12 is not None and isinstance(made, Issued):
        _create(p12, pkcs12_bundle(name, made, ours, password.encode()), 0o600)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        if isinstance(made, Issued):
            _create(out / f"{name}.key", made.key, 0o600)
        _create(out / f"{name}.crt", _certificate(made).pem, 0o644)
        _create(out / "ca.crt", ours.pem, 0o644)


def _create(path: Path, content: bytes, mode: int) -> None:
    """Never through an existing file's permissions: what was there is replaced."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _certificate(made: Issued | Certificate) -> Certificate:
    return made.certificate if isinstance(made, Issued) else made


def _roles(given: list[str]) -> list[str]:
    unknown = sorted(set(given) - {"modality", "clinician", "steward"})
    if unknown:
        raise UsageError(f"No device role is called {', '.join(unknown)}.", "Use modality, clinician or steward.")
    return list(dict.fromkeys(given))


def _check_name(name: str) -> None:
    # It becomes a file name and a certificate's subject.
    if not name or len(name) > 64 or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise UsageError("A device's name is 1 to 64 letters, digits, dots, dashes and underscores.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None


def _day(certificate: Certificate) -> str:
    return certificate.not_after.date().isoformat()


def _date(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).date().isoformat()
