"""DIMSE status codes (PS3.7 Annex C and the service classes of PS3.4)."""

SUCCESS = 0x0000
PENDING = 0xFF00
#: Pending, but one or more optional keys were not supported (PS3.4 C.4.1.1.4).
PENDING_UNSUPPORTED_KEYS = 0xFF01
CANCEL = 0xFE00
PROCESSING_FAILURE = 0x0110
NO_SUCH_SOP_INSTANCE = 0x0112
INVALID_SOP_INSTANCE = 0x0117
NO_SUCH_SOP_CLASS = 0x0118
SOP_CLASS_NOT_SUPPORTED = 0x0122
NOT_AUTHORISED = 0x0124
DUPLICATE_INVOCATION = 0x0210
UNRECOGNISED_OPERATION = 0x0211
MISTYPED_ARGUMENT = 0x0212
RESOURCE_LIMITATION = 0x0213
OUT_OF_RESOURCES = 0xA700
UNABLE_TO_CALCULATE_MATCHES = 0xA701
UNABLE_TO_PERFORM_SUBOPERATIONS = 0xA702
MOVE_DESTINATION_UNKNOWN = 0xA801
#: The data set, or the identifier of a query, does not match its SOP class (PS3.4 B.2.3, C.4.1.1.4).
DATA_SET_DOES_NOT_MATCH = 0xA900
#: C-GET, C-MOVE: complete, one or more sub-operations failed or warned (PS3.4 C.4.3.1.4).
SUBOPERATIONS_WARNING = 0xB000
#: C-STORE: kept, but for some of its elements (PS3.4 B.2.3).
ELEMENTS_DISCARDED = 0xB006
CANNOT_UNDERSTAND = 0xC000
#: Other pixels under a known SOP Instance UID (ours; the Cxxx range is the implementation's, PS3.4 B.2.3).
IDENTITY_CONFLICT = 0xC311

_MEANINGS = {
    SUCCESS: "success",
    PENDING: "pending",
    PENDING_UNSUPPORTED_KEYS: "pending, optional keys not supported",
    CANCEL: "cancelled",
    PROCESSING_FAILURE: "processing failure",
    NO_SUCH_SOP_INSTANCE: "no such SOP instance",
    INVALID_SOP_INSTANCE: "invalid SOP instance",
    NO_SUCH_SOP_CLASS: "no such SOP class",
    SOP_CLASS_NOT_SUPPORTED: "SOP class not supported",
    NOT_AUTHORISED: "not authorised",
    DUPLICATE_INVOCATION: "duplicate invocation",
    UNRECOGNISED_OPERATION: "unrecognised operation",
    MISTYPED_ARGUMENT: "mistyped argument",
    RESOURCE_LIMITATION: "resource limitation",
    OUT_OF_RESOURCES: "out of resources",
    UNABLE_TO_CALCULATE_MATCHES: "out of resources, unable to calculate the number of matches",
    UNABLE_TO_PERFORM_SUBOPERATIONS: "out of resources, unable to perform sub-operations",
    MOVE_DESTINATION_UNKNOWN: "move destination unknown",
    DATA_SET_DOES_NOT_MATCH: "data set does not match its SOP class",
    SUBOPERATIONS_WARNING: "complete, but sub-operations failed or warned",
    ELEMENTS_DISCARDED: "elements discarded",
    CANNOT_UNDERSTAND: "cannot understand",
    IDENTITY_CONFLICT: "other pixels under a known SOP Instance UID",
}


def is_pending(status: int) -> bool:
    return status in (PENDING, PENDING_UNSUPPORTED_KEYS)


def is_warning(status: int) -> bool:
    """Whether the operation was done, with something to say about it (PS3.7 C.3)."""
    return status >> 12 == 0xB or status in (0x0001, 0x0107, 0x0116)


def describe(status: int) -> str:
    """Words for a status, with its code: `out of resources (A700H)`."""
    meaning = _MEANINGS.get(status)
    if meaning is None:
        if is_warning(status):
            meaning = "warning"
        elif status >> 8 == 0xA7:
            meaning = "out of resources"
        elif status >> 8 == 0xA9:
            meaning = "data set does not match its SOP class"
        elif status >> 12 == 0xC:
            meaning = "cannot understand or unable to process"
        else:
            meaning = "failure"
    return f"{meaning} ({status:04X}H)"
