"""One open port: finding out what speaks there, and handing it to the probe for that.

A DICOM request goes first, since SSH, FTP and mail servers introduce themselves anyway and HTTP servers complain; what
takes it amiss is asked for TLS, then for HTTP. Ports that are usually web servers are asked for HTTP first.
"""

import ssl
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from leadglass.assess.counting.census import Census
from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.observation import Endpoint, Exchange, Observation, ObservationKind, ServiceResult
from leadglass.assess.probes.dimse import DimseProbe
from leadglass.assess.probes.dimse_knock import NotDicom, Way
from leadglass.assess.probes.ftp import FtpProbe, NotFtp
from leadglass.assess.probes.tls import StrangerTls, speaks_tls, survey, turns_away
from leadglass.assess.probes.web import WebProbe
from leadglass.assess.probes.web_client import NotHttp, WebWay
from leadglass.assess.reach import Reach
from leadglass.errors import NotAvailable

PATIENCE: Final = 6.0
#: Usually web servers: asked for HTTP first.
_WEB_PORTS: Final = frozenset({80, 3000, 8042, 8080})
#: By their first bytes: which protocol introduces itself so.
_INTRODUCTIONS: Final = (
    (b"SSH-", "ssh"),
    (b"HTTP/", "http"),
    (b"220", "ftp-or-mail"),
    (b"+OK", "pop3"),
    (b"* OK", "imap"),
    (b"RFB ", "vnc"),
    (b"\x15\x03", "tls"),
)
#: Types of PDUs that may answer an A-ASSOCIATE-RQ.
_DICOM_ANSWERS: Final = frozenset({2, 3, 4, 5, 6, 7})

Seen = tuple[ServiceResult, Census]


@dataclass(frozen=True, slots=True)
class Looker:
    """Looks at doors for one run. `patience`: seconds for each answer but a query's."""

    reach: Reach
    fingerprints: Fingerprints
    tls: StrangerTls
    patience: float = PATIENCE

    def look(self, endpoint: Endpoint, names: tuple[str, ...]) -> Seen:
        """What a stranger gets at an open port; a door that tells nothing is a result too."""
        seen = self._as_web(endpoint, names) if endpoint.port in _WEB_PORTS else None
        if seen is not None:
            return seen
        try:
            return self._as_dicom(self._way(endpoint))
        except NotDicom as error:
            return self._by_first_bytes(endpoint, names, error)
        except NotAvailable:
            return self.nothing(endpoint, "unknown", "it no longer answered when it was looked at")

    def _by_first_bytes(self, endpoint: Endpoint, names: tuple[str, ...], error: NotDicom) -> Seen:
        spoken = next((name for start, name in _INTRODUCTIONS if error.first.startswith(start)), "")
        if not spoken and error.first and error.first[0] in _DICOM_ANSWERS:
            return self.nothing(endpoint, "dicom", "it answers in PDUs that PS3.8 does not allow")
        if spoken in ("", "tls") and self._speaks_tls(endpoint):
            return self._over_tls(endpoint, names)
        seen = None
        if spoken == "ftp-or-mail":
            seen = self._as_ftp(endpoint)
        elif spoken in ("", "http"):
            seen = self._as_web(endpoint, names)
        if seen is not None:
            return seen
        if spoken and spoken != "tls":
            return self._other(endpoint, spoken)
        return self.nothing(endpoint, "unknown", "it accepts connections, and what it speaks could not be found out")

    def _over_tls(self, endpoint: Endpoint, names: tuple[str, ...]) -> Seen:
        surveyed = survey(self.reach, endpoint, self.tls, self.patience, names)
        demanded = self._demanded(endpoint)
        asked = _asked(demanded)
        if demanded == "yes":
            seen = ServiceResult(endpoint, "tls"), Census(self.fingerprints)
        else:
            shown = "anonymous" if demanded == "no" else "stranger"
            context = self.tls.anonymous if demanded == "no" else self.tls.stranger
            seen = self._within_tls(replace(self._way(endpoint), tls=shown, context=context), names)
        result, census = seen
        return replace(result, observations=(*result.observations, *surveyed, asked)), census

    def _demanded(self, endpoint: Endpoint) -> str:
        """Whether a certificate is asked of us: `no`, `any` will do, or `yes`."""
        try:
            if not turns_away(self.reach, endpoint, self.tls.anonymous, self.patience):
                return "no"
            return "yes" if turns_away(self.reach, endpoint, self.tls.stranger, self.patience) else "any"
        except NotAvailable:
            return "yes"

    def _within_tls(self, way: Way, names: tuple[str, ...]) -> Seen:
        try:
            return self._as_dicom(way)
        except NotAvailable:
            web = self._as_web(way.endpoint, names, way.context)
            return web or self.nothing(way.endpoint, "tls", "what it speaks over TLS could not be found out")

    def _as_dicom(self, way: Way) -> Seen:
        probe = DimseProbe(way, self.fingerprints, allow_writing=self.reach.scope.write_test)
        return probe.run(), probe.census

    def _as_web(self, endpoint: Endpoint, names: tuple[str, ...], context: ssl.SSLContext | None = None) -> Seen | None:
        """None if it does not speak HTTP after all."""
        way = WebWay(self.reach, endpoint, context, names[0] if names else "", self.patience)
        scope = self.reach.scope
        probe = WebProbe(
            way, self.fingerprints, allow_credentials=scope.default_credentials, allow_writing=scope.write_test
        )
        try:
            return probe.run(), probe.census
        except (NotHttp, NotAvailable):
            return None

    def _as_ftp(self, endpoint: Endpoint) -> Seen | None:
        """None if it does not speak FTP after all."""
        probe = FtpProbe(self.reach, endpoint, self.fingerprints, self.patience)
        try:
            return probe.run(), probe.census
        except (NotFtp, NotAvailable):
            return None

    def _speaks_tls(self, endpoint: Endpoint) -> bool:
        try:
            return speaks_tls(self.reach, endpoint, self.tls, self.patience)
        except NotAvailable:
            return False

    def _other(self, endpoint: Endpoint, spoken: str) -> Seen:
        exchange = Exchange(datetime.now(UTC), f"it introduced itself as {spoken}", b"", b"")
        observation = Observation(ObservationKind.OTHER_SERVICE, {"protocol": spoken}, (exchange,))
        return ServiceResult(endpoint, spoken, observations=(observation,)), Census(self.fingerprints)

    def nothing(self, endpoint: Endpoint, protocol: str, why: str) -> Seen:
        """A door of which only this is known."""
        return ServiceResult(endpoint, protocol, unknowns=(why,)), Census(self.fingerprints)

    def _way(self, endpoint: Endpoint) -> Way:
        return Way(self.reach, endpoint, patience=self.patience)


def _asked(demanded: str) -> Observation:
    words = {
        "no": "TLS handshake without a certificate of ours: completed",
        "any": "TLS handshake with a certificate that nobody knows: completed",
        "yes": "TLS handshakes without a certificate and with one that nobody knows: refused",
    }
    exchange = Exchange(datetime.now(UTC), words[demanded], b"", b"")
    return Observation(ObservationKind.TLS_CLIENT_CERTIFICATE, {"demanded": demanded}, (exchange,))
