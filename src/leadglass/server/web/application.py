"""The web application: the routes of every part, behind what holds for all of them."""

from collections.abc import Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from leadglass.archive.archive import Archive
from leadglass.archive.decoding import Decoding
from leadglass.server.web import health, paths
from leadglass.server.web.assets import Assets
from leadglass.server.web.authentication import Authentication
from leadglass.server.web.console.routes import routes as console_routes
from leadglass.server.web.dicomweb.routes import routes as dicomweb_routes
from leadglass.server.web.headers import SecurityHeaders
from leadglass.server.web.metrics import Measured, Metrics
from leadglass.server.web.openapi import document
from leadglass.server.web.pages import Pages
from leadglass.server.web.problems import ProblemAnswers, Problems
from leadglass.server.web.signin.routes import PUBLIC as SIGN_IN
from leadglass.server.web.signin.routes import routes as signin_routes
from leadglass.server.web.viewer import Bundle, Viewer

#: Served to anybody. Whatever is not named here needs a principal.
PUBLIC = (*SIGN_IN, *health.PUBLIC, "/static/")


def build(archive: Archive, decoding: Decoding, names: Collection[str], origins: Collection[str] = ()) -> Starlette:
    """`names` are the host names under which people reach us, `origins` other web applications that may use us."""
    assets = Assets()
    pages = Pages(assets, archive.sessions.idle_seconds)
    metrics = Metrics(archive)
    answers = ProblemAnswers(pages)
    paths.register()
    routes = [
        *health.routes(archive),
        *metrics.routes(),
        *assets.routes(),
        *signin_routes(archive, pages, names),
        *dicomweb_routes(archive, decoding),
        *Viewer(Bundle.load(), pages).routes(),
        *console_routes(archive, pages, decoding),
    ]
    app = Starlette(
        routes=[*routes, *document.routes(routes)],
        middleware=[
            Middleware(Measured, metrics=metrics),
            Middleware(SecurityHeaders),
            # Outside of what makes errors into answers: a page of another origin is to read those too.
            *_for_other_origins(origins),
            Middleware(Problems, answers=answers),
            Middleware(Authentication, archive=archive, public=PUBLIC),
        ],
        exception_handlers={HTTPException: answers.of_http_exception},
    )
    # A redirect would tell a stranger's address apart from ours by its Host header only.
    app.router.redirect_slashes = False
    return app


def _for_other_origins(origins: Collection[str]) -> list[Middleware]:
    """Nothing unless some are configured (CORS). They bring a bearer token: our cookies are not for them."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=tuple(origins),
            allow_methods=("GET", "HEAD", "OPTIONS", "POST"),
            allow_headers=("Accept", "Authorization", "Content-Type", "Range"),
            expose_headers=("Accept-Ranges", "Content-Range", "Warning", "WWW-Authenticate"),
        )
    ]
