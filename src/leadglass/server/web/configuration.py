"""What the web door may be told: its certificate, its names, its bounds on time and number."""

from dataclasses import dataclass

from leadglass.crypto.tls import CertificateChain


@dataclass(frozen=True, slots=True)
class WebConfig:
    """`chain` is an operator's certificate, in place of the local authority's. `names` are host names that passkeys may
    be bound to, besides those of the certificate; `origins` other web applications that may use DICOMweb with a bearer
    token from a browser. Times are seconds."""

    chain: CertificateChain | None = None
    names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    connections: int = 1024
    connections_per_source: int = 256
    handshake_seconds: float = 20.0
    header_seconds: float = 20.0
    stall_seconds: float = 30.0
    idle_seconds: float = 75.0
    drain_seconds: float = 10.0
    threads: int = 40
