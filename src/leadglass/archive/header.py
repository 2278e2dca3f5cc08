"""Reading elements of a stored data set without holding the data set."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from leadglass.archive.incoming import Layout
from leadglass.dicom.reader import DataSetScanner, Element
from leadglass.dicom.uids import TransferSyntax
from leadglass.model import DataSetLimits

if TYPE_CHECKING:
    from leadglass.pack.reader import ObjectReader


def stored_elements(
    reader: "ObjectReader", syntax: TransferSyntax, limits: DataSetLimits, wanted: frozenset[int]
) -> Mapping[int, Element]:
    """The wanted top-level elements. Reads in pieces of at most 1 MiB, up to where all are found or the pixels begin:
    without pixels everything is header, however large it is. Raises VerificationFailed, NotAvailable.
    """
    # Where the pixels of a deflated data set begin is known of the inflated bytes only.
    end = reader.length if syntax.deflated else Layout.decode(reader.layout).header_length
    scanner = DataSetScanner(syntax, limits, wanted=wanted)
    for chunk in reader.chunks(0, end):
        scanner.feed(chunk)
        if len(scanner.elements) == len(wanted):
            break
    return scanner.elements
