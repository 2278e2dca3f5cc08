"""An issuer of access tokens (RFC 9068): a real HTTPS server that publishes its metadata and keys, and signs."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from leadglass.crypto.certificates import create_authority, issue_server

AUDIENCE = "https://pacs.example/dicom-web"
NOW = 2_000_000_000


class Issuer:
    """`documents` may be changed while it serves; `asked` are the paths that were asked for."""

    def __init__(self, folder: Path) -> None:
        authority = create_authority("issuer's own")
        made = issue_server(authority, ["localhost"], "ec")
        (folder / "issuer.crt").write_bytes(made.certificate.pem)
        (folder / "issuer.key").write_bytes(made.key)
        self.ca = folder / "issuer-ca.crt"
        self.ca.write_bytes(authority.certificate.pem)
        self.asked: list[str] = []
        self.key = ECKey.generate_key("P-256", {"kid": "one"})
        self.documents: dict[str, Any] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "issuer.crt", folder / "issuer.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}"
        self.publish(self.key)

    def publish(self, *keys: ECKey) -> None:
        places = {"jwks_uri": "keys", "authorization_endpoint": "authorize", "token_endpoint": "token"}
        published = {"issuer": self.url} | {name: f"{self.url}/{path}" for name, path in places.items()}
        self.documents["/.well-known/openid-configuration"] = published
        self.documents["/keys"] = KeySet(list(keys)).as_dict(private=False)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                body = json.dumps(issuer.documents.get(self.path)).encode()
                self.send_response(200 if self.path in issuer.documents else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                """Nothing on the tests' output."""

        return Handler

    def token(self, header: dict[str, Any] | None = None, key: ECKey | OctKey | None = None, **claims: Any) -> str:
        head = {"alg": "ES256", "typ": "at+jwt", "kid": "one"} | (header or {})
        body = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "u-1",
            "client_id": "app",
            "jti": "t-1",
            "iat": NOW - 10,
            "exp": NOW + 600,
            "roles": ["radiologist"],
        }
        kept = {name: value for name, value in (body | claims).items() if value is not None}
        return jwt.encode(head, kept, key or self.key, algorithms=[head["alg"]])

    def settings(self) -> str:
        """The table of a `serve` that believes it, its clock and ours being the same."""
        return f"""
[openid]
issuer = "{self.url}"
client_id = "leadglass"
ca = "{self.ca}"
audience = "{AUDIENCE}"
roles = {{ radiologist = "clinician", pacs-admin = "administrator" }}
patient_id_claim = "patient_id"
"""

    def token_now(self, **claims: Any) -> str:
        """One that is good by the wall clock."""
        now = int(time.time())
        return self.token(**{"iat": now - 10, "exp": now + 600, **claims})


@contextmanager
def issuing(folder: Path) -> Iterator[Issuer]:
    made = Issuer(folder)
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        thread.join()
        made.server.server_close()
