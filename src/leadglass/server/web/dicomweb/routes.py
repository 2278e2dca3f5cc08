"""Which path of DICOMweb is answered by what (PS3.18 10.1.1), below `/dicom-web`."""

from concurrent.futures import ThreadPoolExecutor

from starlette.routing import BaseRoute

from leadglass.archive.archive import Archive
from leadglass.archive.decoding import Decoding
from leadglass.archive.frames import Frames
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool
from leadglass.server.web.dicomweb.bulkdata import BulkData
from leadglass.server.web.dicomweb.capabilities import Capabilities
from leadglass.server.web.dicomweb.dispatch import Dispatch
from leadglass.server.web.dicomweb.metadata import Metadata
from leadglass.server.web.dicomweb.qido import Qido
from leadglass.server.web.dicomweb.rendered import Rendered
from leadglass.server.web.dicomweb.requests import ROOT
from leadglass.server.web.dicomweb.stow import Stow
from leadglass.server.web.dicomweb.wado import Wado
from leadglass.server.web.dicomweb.wado_uri import WadoUri

#: Pieces of answers that are made at the same time.
SENDERS = 16


def routes(archive: Archive) -> list[BaseRoute]:
    senders = ThreadPoolExecutor(SENDERS, "dicomweb-send")
    dispatch = Dispatch(archive, senders)
    frames = Frames(archive)
    decoding = Decoding(DecoderPool(DecoderLimits()), archive.limits)
    wado = Wado(dispatch, frames, decoding)
    described: list[BaseRoute] = [
        *wado.routes(ROOT),
        *WadoUri(dispatch, frames, decoding, wado).routes(ROOT),
        *Rendered(dispatch, frames, decoding).routes(ROOT),
        *BulkData(dispatch, frames).routes(ROOT),
        *Metadata(dispatch, senders).routes(ROOT),
        *Qido(archive).routes(ROOT),
        *Stow(archive).routes(ROOT),
    ]
    return [*described, *Capabilities(described).routes(ROOT)]
