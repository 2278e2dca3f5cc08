"""Which path of DICOMweb is answered by what (PS3.18 10.1.1), below `/dicom-web`."""

from starlette.routing import BaseRoute

from leadglass.archive.archive import Archive

ROOT = "/dicom-web"


def routes(_: Archive) -> list[BaseRoute]:
    return []
