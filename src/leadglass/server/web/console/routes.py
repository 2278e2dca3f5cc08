"""The console's paths."""

from starlette.routing import BaseRoute

from leadglass.archive.archive import Archive
from leadglass.archive.decoding import Decoding
from leadglass.server.web.console import home
from leadglass.server.web.console.access import AccessPage
from leadglass.server.web.console.devices import DevicesPage
from leadglass.server.web.console.download import Download
from leadglass.server.web.console.quarantine import QuarantinePages
from leadglass.server.web.console.reviews import ReviewPages
from leadglass.server.web.console.studies import StudiesPage
from leadglass.server.web.console.study import StudyPage
from leadglass.server.web.console.tokens import TokensPage
from leadglass.server.web.console.upload import UploadPage
from leadglass.server.web.console.users import UsersPage
from leadglass.server.web.pages import Pages


def routes(archive: Archive, pages: Pages, decoding: Decoding) -> list[BaseRoute]:
    return [
        *home.routes(),
        *StudiesPage(archive, pages).routes(),
        *StudyPage(archive, pages).routes(),
        *Download(archive).routes(),
        *UploadPage(pages).routes(),
        *QuarantinePages(archive, pages).routes(),
        *ReviewPages(archive, pages, decoding).routes(),
        *AccessPage(archive, pages).routes(),
        *DevicesPage(archive, pages).routes(),
        *UsersPage(archive, pages).routes(),
        *TokensPage(archive, pages).routes(),
    ]
