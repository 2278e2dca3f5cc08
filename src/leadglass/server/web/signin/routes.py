"""The paths of sign-in, and which of them nobody needs to have signed in for."""

from starlette.routing import BaseRoute

from leadglass.archive.archive import Archive
from leadglass.server.web.pages import Pages

PUBLIC = ("/sign-in", "/setup")


def routes(_archive: Archive, _pages: Pages) -> list[BaseRoute]:
    return []
