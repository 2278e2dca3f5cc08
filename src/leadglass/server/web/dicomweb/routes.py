"""Which path of DICOMweb is answered by what (PS3.18 10.1.1), below `/dicom-web`."""

from starlette.routing import BaseRoute

from leadglass.archive.archive import Archive
from leadglass.archive.decoding import Decoding
from leadglass.archive.frames import Frames
from leadglass.server.web.dicomweb.bulkdata import BulkData
from leadglass.server.web.dicomweb.capabilities import Capabilities
from leadglass.server.web.dicomweb.dispatch import Dispatch
from leadglass.server.web.dicomweb.lanes import Lanes
from leadglass.server.web.dicomweb.metadata import Metadata
from leadglass.server.web.dicomweb.qido import Qido
from leadglass.server.web.dicomweb.rendered import Rendered
from leadglass.server.web.dicomweb.requests import ROOT
from leadglass.server.web.dicomweb.stow import Stow
from leadglass.server.web.dicomweb.wado import Wado
from leadglass.server.web.dicomweb.wado_uri import WadoUri


def routes(archive: Archive, decoding: Decoding) -> list[BaseRoute]:
    lanes = Lanes()
    dispatch = Dispatch(archive, lanes)
    frames = Frames(archive)
    wado = Wado(dispatch, frames, decoding)
    described: list[BaseRoute] = [
        *wado.routes(ROOT),
        *WadoUri(dispatch, frames, decoding, wado).routes(ROOT),
        *Rendered(dispatch, frames, decoding).routes(ROOT),
        *BulkData(dispatch, frames).routes(ROOT),
        *Metadata(dispatch, lanes).routes(ROOT),
        *Qido(archive).routes(ROOT),
        *Stow(archive).routes(ROOT),
    ]
    return [*described, *Capabilities(described).routes(ROOT)]
