"""`/metrics` for Prometheus: numbers about requests, none of them about anybody. Its reader needs a token."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leadglass.archive.archive import Archive
from leadglass.archive.authorise import authorise
from leadglass.model import Operation
from leadglass.server.web.authentication import principal_of

#: What the first part of a path stands for: paths themselves hold UIDs.
_AREAS = frozenset({"dicom-web", "viewer", "static", "sign-in", "setup", "healthz", "metrics"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """A registry of its own: nothing that a library counts by itself gets in."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "leadglass_http_requests", "Requests answered.", ("area", "method", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "leadglass_http_seconds",
            "From a request's header to its answer's last byte.",
            ("area",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        Gauge("leadglass_sessions", "Sessions of users now.", registry=self._registry).set_function(
            lambda: archive.sessions.count
        )

    def count(self, path: str, method: str, status: int, seconds: float) -> None:
        first = path.split("/", 2)[1] if path.startswith("/") else ""
        area = first if first in _AREAS else "console"
        self._requests.labels(area, method if method.isalpha() and len(method) <= 8 else "OTHER", status).inc()
        self._seconds.labels(area).observe(seconds)

    def routes(self) -> list[BaseRoute]:
        return [Route("/metrics", self._show, methods=["GET"])]

    def _show(self, request: Request) -> Response:
        authorise(principal_of(request), Operation.MONITOR)
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


class Measured:
    """Pure ASGI: counts each request once its answer is complete, or its connection gone."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.count(scope["path"], scope["method"], status, time.perf_counter() - began)
