"""Why a step came to nothing, in words for a report: never a peer's own."""

from typing import Final

from leadglass.assess.probes.dimse_line import HungUp, Silence
from leadglass.assess.reach import BudgetSpent, Expired, Interrupted
from leadglass.dimse.connection import AssociationAborted, AssociationRefused
from leadglass.errors import FormatError, LeadglassError, ProtocolError

#: The first that fits.
_WORDS: Final[tuple[tuple[type[LeadglassError], str], ...]] = (
    (Interrupted, "the assessment was interrupted"),
    (Expired, "the scope expired"),
    (BudgetSpent, "the time or the bytes that one address may have are spent"),
    (AssociationRefused, "it rejected the association"),
    (AssociationAborted, "it aborted the association"),
    (HungUp, "it hung up"),
    (Silence, "it did not answer in time"),
    (ProtocolError, "it broke the protocol"),
    (FormatError, "its answer could not be read"),
)


def why(error: LeadglassError) -> str:
    return next((words for kind, words in _WORDS if isinstance(error, kind)), "it did not answer")
