"""The console's paths."""

from starlette.routing import BaseRoute

from leadglass.archive.archive import Archive
from leadglass.server.web.console import home
from leadglass.server.web.console.devices import DevicesPage
from leadglass.server.web.console.studies import StudiesPage
from leadglass.server.web.console.upload import UploadPage
from leadglass.server.web.pages import Pages


def routes(archive: Archive, pages: Pages) -> list[BaseRoute]:
    return [
        *home.routes(),
        *StudiesPage(archive, pages).routes(),
        *UploadPage(pages).routes(),
        *DevicesPage(archive, pages).routes(),
    ]
