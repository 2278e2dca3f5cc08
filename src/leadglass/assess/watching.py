"""Keeping an eye on a scope: what changed since the last look, told to whom its owner has named.

Where it is told comes from a file of the owner's and from nowhere else: no answer of a peer can name a receiver. What
is told are kinds of findings and doors, never numbers of patients and nothing that a peer said.
"""

import re
import smtplib
import socket
import ssl
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leadglass.assess.baseline import Baseline
from leadglass.assess.finding import Finding
from leadglass.assess.report import json as json_report
from leadglass.assess.report.model import FormerFinding, Report
from leadglass.errors import NotAvailable, UsageError

_SECONDS: Final = 20.0
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LEAST: Final = timedelta(minutes=1)
_MOST: Final = timedelta(days=366)
#: RFC 5424 6.2.1: facility 10 (security), severities warning and informational.
_SYSLOG_WARNING: Final = 10 * 8 + 4
_SYSLOG_INFORMATIONAL: Final = 10 * 8 + 6


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Webhook(_Table):
    """A JSON document is posted to `url`, over HTTPS only; redirects are not followed."""

    url: Annotated[str, Field(pattern=r"^https://")]
    #: A file in PEM, for receivers with a CA of their own.
    ca: Path | None = None


class Mail(_Table):
    """STARTTLS is demanded: a list of open doors goes nowhere in clear."""

    host: str
    port: Annotated[int, Field(gt=0, lt=65536)] = 587
    sender: str
    recipients: Annotated[tuple[str, ...], Field(min_length=1)]
    ca: Path | None = None


class Syslog(_Table):
    """RFC 5424 over UDP (RFC 5426), one message for each change."""

    host: str
    port: Annotated[int, Field(gt=0, lt=65536)] = 514


class Receivers(_Table):
    webhook: Webhook | None = None
    mail: Mail | None = None
    syslog: Syslog | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """`new`, `fixed`: what there is to tell."""

    organisation: str
    at: datetime
    new: tuple[FormerFinding, ...]
    fixed: tuple[FormerFinding, ...]
    still_open: int

    def lines(self) -> Iterator[str]:
        for word, findings in (("new", self.new), ("fixed", self.fixed)):
            for each in findings:
                yield f"{word}: {each.title} ({each.word}) at {each.endpoint}{each.locator}"

    def document(self) -> dict[str, object]:
        return {
            "format": "leadglass/exposure-change",
            "organisation": self.organisation,
            "at": self.at.isoformat(timespec="seconds"),
            "new": [_entry(each) for each in self.new],
            "fixed": [_entry(each) for each in self.fixed],
            "still_open": self.still_open,
        }


def read_receivers(path: Path) -> Receivers:
    """UsageError if the file cannot be read or says something that it may not."""
    try:
        return Receivers.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}.") from None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UsageError(f"{path}: {where} is not as it must be.", "See docs/exposure.md.") from None


def parse_interval(text: str) -> timedelta:
    """`30m`, `24h`, `7d`. UsageError for anything else, and for less than a minute or more than a year."""
    match = re.fullmatch(r"(\d{1,6})([mhd])", text)
    interval = int(match[1]) * _UNITS[match[2]] if match else timedelta()
    if not _LEAST <= interval <= _MOST:
        raise UsageError(f"{text} is no interval.", "Write 30m, 24h or 7d.")
    return interval


def baseline_of(report: Report) -> Baseline:
    """What the next look is held against."""
    return Baseline(sha256(json_report.render(report)).hexdigest(), tuple(map(_former, report.findings)))


def notice_of(report: Report) -> Notice:
    """Against the report's baseline; everything is new where it has none."""
    changes = report.changes
    new = [each for each in report.findings if changes is None or each.fingerprint in changes.new]
    return Notice(
        report.assessment.organisation,
        datetime.now(UTC),
        tuple(map(_former, new)),
        changes.fixed if changes is not None else (),
        len(changes.still_open) if changes is not None else 0,
    )


def send(receivers: Receivers, notice: Notice) -> None:
    """To each of them; NotAvailable, after all were tried, names those that did not take it. Nothing changed, nothing
    is sent."""
    if not notice.new and not notice.fixed:
        return
    failed: list[str] = []
    for name, deliver in (("webhook", _post), ("mail", _mail), ("syslog", _log)):
        try:
            deliver(receivers, notice)
        except (OSError, smtplib.SMTPException, httpx.HTTPError, ssl.SSLError):
            failed.append(name)
    if failed:
        raise NotAvailable(f"Changes could not be told by {' and '.join(failed)}.", "Look at the report itself.")


def _post(receivers: Receivers, notice: Notice) -> None:
    webhook = receivers.webhook
    if webhook is None:
        return
    context = ssl.create_default_context(cafile=str(webhook.ca) if webhook.ca else None)
    # Neither proxies nor password files of the environment: where this goes is what the owner wrote.
    with httpx.Client(verify=context, trust_env=False, follow_redirects=False, timeout=_SECONDS) as client:
        client.post(webhook.url, json=notice.document()).raise_for_status()


def _mail(receivers: Receivers, notice: Notice) -> None:
    mail = receivers.mail
    if mail is None:
        return
    message = EmailMessage()
    message["Subject"] = f"Exposure of {notice.organisation}: {len(notice.new)} new, {len(notice.fixed)} fixed"
    message["From"], message["To"] = mail.sender, ", ".join(mail.recipients)
    message.set_content("\n".join(notice.lines()) + "\n")
    context = ssl.create_default_context(cafile=str(mail.ca) if mail.ca else None)
    with smtplib.SMTP(mail.host, mail.port, timeout=_SECONDS) as server:
        server.starttls(context=context)
        server.send_message(message)


def _log(receivers: Receivers, notice: Notice) -> None:
    syslog = receivers.syslog
    if syslog is None:
        return
    family, kind, _, _, address = socket.getaddrinfo(syslog.host, syslog.port, type=socket.SOCK_DGRAM)[0]
    with closing(socket.socket(family, kind)) as sender:
        for line in notice.lines():
            priority = _SYSLOG_WARNING if line.startswith("new") else _SYSLOG_INFORMATIONAL
            stamp = notice.at.isoformat(timespec="seconds")
            sender.sendto(f"<{priority}>1 {stamp} - leadglass - exposure - \ufeff{line}".encode(), address)


def _former(finding: Finding) -> FormerFinding:
    return FormerFinding(
        finding.fingerprint,
        str(finding.kind),
        finding.title,
        str(finding.severity.word),
        finding.severity.score,
        finding.endpoint,
        finding.locator,
    )


def _entry(each: FormerFinding) -> dict[str, object]:
    return {
        "fingerprint": each.fingerprint,
        "kind": each.kind,
        "title": each.title,
        "severity": each.word,
        "address": each.endpoint.address,
        "port": each.endpoint.port,
        "locator": each.locator,
    }
