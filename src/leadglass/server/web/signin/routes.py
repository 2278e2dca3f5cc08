"""The paths of sign-in, and which of them nobody needs to have signed in for."""

from collections.abc import Collection

from starlette.routing import BaseRoute

from leadglass.archive.archive import Archive
from leadglass.server.web.pages import Pages
from leadglass.server.web.signin.passkey import PasskeyRoutes
from leadglass.server.web.signin.password import PasswordPages
from leadglass.server.web.signin.provider import ProviderRoutes
from leadglass.server.web.signin.setup import SetupPages
from leadglass.server.web.signin.steps import Steps

PUBLIC = (*PasswordPages.PUBLIC, *PasskeyRoutes.PUBLIC, *ProviderRoutes.PUBLIC, *SetupPages.PUBLIC)


def routes(archive: Archive, pages: Pages, names: Collection[str]) -> list[BaseRoute]:
    """`names` are the host names of our certificate."""
    steps = Steps(archive, pages, names)
    provider = archive.provider
    parts = (
        PasswordPages(steps, provider.name if provider is not None else ""),
        PasskeyRoutes(steps),
        ProviderRoutes(steps, provider),
        SetupPages(steps),
    )
    return [route for part in parts for route in part.routes()]
