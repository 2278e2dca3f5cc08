"""One tree of errors.

    LeadglassError
    ├── UsageError              the caller asked for something that cannot be meant           exit 2
    ├── RefusedForSafety        running on would leave a door open or a record false          exit 3
    ├── NotAvailable            a resource is missing now and may come back                    exit 4
    │   └── OutOfResources      disk reserve reached, queue full: A700H                        exit 4
    ├── NotFound                nothing by that name that this principal may see               exit 1
    ├── NotAuthenticated        nobody has proved who is asking                                exit 1
    ├── NotAuthorised           the principal may not do that                                  exit 1
    │   └── ProofTooOld         it must prove who it is once more before it grants anything     exit 1
    ├── FormatError             bytes that are not what their standard says                    exit 1
    │   ├── DataSetError        a data set that PS3.5 does not allow, or beyond a bound
    │   └── ProtocolError       a PDU or message that PS3.7/PS3.8 do not allow, or beyond a bound
    ├── DecodingFailed          pixels that do not become what was asked                       exit 1
    ├── Quarantined             inspection holds it back until a steward decides: C110H        exit 1
    ├── IdentityConflict        other pixels under a known SOP Instance UID: C311H             exit 1
    └── VerificationFailed      a seal, a signature, a chain or a digest does not hold         exit 1

Each class knows the DIMSE status (PS3.7 Annex C), the HTTP status and the exit code it turns into at the doors. The
message says what happened and `remedy` what to do next; neither ever holds patient data, keys or passwords.
"""

from typing import Any, ClassVar


class LeadglassError(Exception):
    dimse_status: ClassVar[int] = 0x0110  # Processing failure, PS3.7 C.5.5
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        # From one process of ours to another with all its fields, whatever the subclass was made from.
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[LeadglassError], args: tuple[object, ...], fields: dict[str, object]) -> LeadglassError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class UsageError(LeadglassError):
    http_status = 400
    exit_code = 2


class RefusedForSafety(LeadglassError):
    http_status = 503
    exit_code = 3


class NotAvailable(LeadglassError):
    http_status = 503
    exit_code = 4


class OutOfResources(NotAvailable):
    dimse_status = 0xA700  # Refused: out of resources, PS3.4 B.2.3
    http_status = 507


class NotFound(LeadglassError):
    dimse_status = 0x0112  # No such SOP Instance, PS3.7 C.5.6
    http_status = 404


class NotAuthenticated(LeadglassError):
    dimse_status = 0x0124  # Refused: not authorised, PS3.7 C.5.25
    http_status = 401


class NotAuthorised(LeadglassError):
    dimse_status = 0x0124  # Refused: not authorised, PS3.7 C.5.25
    http_status = 403


class ProofTooOld(NotAuthorised):
    """The act creates a way to see images: whoever sits at the keyboard now must be who signed in."""


class FormatError(LeadglassError):
    dimse_status = 0xC000  # Cannot understand, PS3.4 B.2.3
    http_status = 400


class DataSetError(FormatError):
    """A data set that breaks PS3.5 or a bound. `offset` is the position in the data set where it was noticed."""

    def __init__(self, message: str, offset: int = 0, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.offset = offset


class ProtocolError(FormatError):
    """A PDU or message that breaks PS3.7/PS3.8 or a bound. `reason` is the A-ABORT reason, PS3.8 Table 9-26."""

    def __init__(self, message: str, reason: int = 0) -> None:
        super().__init__(message)
        self.reason = reason


class DecodingFailed(LeadglassError):
    """`reason` names why, as leadglass.pixels.failure does. What is stored can still be had as it is: PS3.18 8.7.3."""

    http_status = 406

    def __init__(self, message: str, remedy: str = "", *, reason: str) -> None:
        super().__init__(message, remedy)
        self.reason = reason


class Quarantined(LeadglassError):
    """Kept, sealed apart, and shown to nobody. The message names reason codes of leadglass.inspection."""

    dimse_status = 0xC110  # Cannot understand, PS3.4 B.2.3: the last three digits are ours
    http_status = 409


class IdentityConflict(LeadglassError):
    dimse_status = 0xC311
    http_status = 409


class VerificationFailed(LeadglassError):
    exit_code = 1
