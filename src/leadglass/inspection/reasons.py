"""Why an object got its verdict: the one table of reason codes. docs/inspection.md lists the same (held by a test)."""

from enum import Enum, IntEnum


class Weight(IntEnum):
    """What a reason does to the verdict; the heaviest decides. A finding accepts the object and is reported."""

    NOTE = 0
    FINDING = 1
    DISARM = 2
    QUARANTINE = 3
    REJECT = 4


class Reason(Enum):
    """`code` is what is logged, counted and answered; `meaning` is what a person reads. Neither holds patient data."""

    code: str
    weight: Weight
    meaning: str

    def __init__(self, code: str, weight: Weight, meaning: str) -> None:
        self.code = code
        self.weight = weight
        self.meaning = meaning

    # What cannot be read, or cannot be filed.
    NOT_DICOM = "not-dicom", Weight.REJECT, "The file is not DICOM: no prefix, meta information or first element."
    MALFORMED = "malformed", Weight.REJECT, "The bytes are no data set as PS3.5 defines it; the detail says why."
    BEYOND_LIMIT = "beyond-limit", Weight.REJECT, "The data set declares or inflates to more than a reader's bound."
    UNKNOWN_SYNTAX = "unknown-transfer-syntax", Weight.REJECT, "No transfer syntax that the archive keeps."
    UNREADABLE = "unreadable", Weight.REJECT, "The file or medium cannot be read."
    MISSING_SOP_CLASS = "missing-sop-class-uid", Weight.REJECT, "It has no SOP Class UID (type 1, PS3.3 C.12.1)."
    MISSING_SOP_INSTANCE = "missing-sop-instance-uid", Weight.REJECT, "It has no SOP Instance UID (type 1)."
    MISSING_STUDY = "missing-study-instance-uid", Weight.REJECT, "It has no Study Instance UID (type 1, C.7.2.1)."
    MISSING_SERIES = "missing-series-instance-uid", Weight.REJECT, "It has no Series Instance UID (type 1, C.7.3.1)."
    INVALID_SOP_CLASS = "invalid-sop-class-uid", Weight.REJECT, "Its SOP Class UID is no UID (PS3.5 9.1)."
    INVALID_SOP_INSTANCE = "invalid-sop-instance-uid", Weight.REJECT, "Its SOP Instance UID is no UID (PS3.5 9.1)."
    INVALID_STUDY = "invalid-study-instance-uid", Weight.REJECT, "Its Study Instance UID is no UID (PS3.5 9.1)."
    INVALID_SERIES = "invalid-series-instance-uid", Weight.REJECT, "Its Series Instance UID is no UID (PS3.5 9.1)."

    # What can hurt whoever opens it.
    EXECUTABLE = "executable", Weight.QUARANTINE, "A program or script lies in a value, the preamble or after the data."
    TEST_VIRUS = "test-virus", Weight.QUARANTINE, "The EICAR test file: harmless, and proof that scanning works."
    RULE = "rule", Weight.QUARANTINE, "A YARA rule matches; the detail names it."
    ANTIVIRUS = "antivirus", Weight.QUARANTINE, "ClamAV reports a signature; the detail names it."
    MACROS = "macros", Weight.QUARANTINE, "An OLE or OOXML document with macros lies in a value."
    PAYLOAD = "payload", Weight.QUARANTINE, "An archive or document lies where the standard puts no such thing."
    MEDIA_TYPE = "media-type", Weight.QUARANTINE, "The encapsulated document is not of the type that the object says."
    PDF_ACTIVE = "pdf-active", Weight.QUARANTINE, "The PDF has JavaScript, Launch, or acts on being opened."
    PDF_EMBEDDED = "pdf-embedded-file", Weight.QUARANTINE, "The PDF carries further files."
    PDF_OPAQUE = "pdf-opaque", Weight.QUARANTINE, "The PDF is encrypted or too compressed to be looked into."
    CDA_DTD = "cda-dtd", Weight.QUARANTINE, "The CDA has a document type declaration or entities (XXE, entity bombs)."
    CDA_ACTIVE = "cda-active", Weight.QUARANTINE, "The CDA holds script, or embeds an executable."
    DOCUMENT_BROKEN = "document-broken", Weight.QUARANTINE, "The encapsulated document is not well-formed."
    DOCUMENT_BOUND = "document-beyond-limit", Weight.QUARANTINE, "The document is too long to be looked into."
    DOCUMENT_REMOTE = "document-remote", Weight.QUARANTINE, "An OBJ or MTL names files or addresses outside itself."
    UID_PATH = "uid-path", Weight.QUARANTINE, "A UID holds characters of a path (directory traversal)."
    PIXELS_SHORT = (
        "pixels-short",
        Weight.QUARANTINE,
        "Pixel, overlay or icon data is shorter than rows and columns say.",
    )
    FRAME_BOUND = (
        "frame-beyond-limit",
        Weight.QUARANTINE,
        "A frame decodes to more than it declares, or than any image has.",
    )
    DECODER = "decoder", Weight.QUARANTINE, "A decoder crashed, hung or grew over a frame (in its sandbox)."
    CODESTREAM = "codestream", Weight.QUARANTINE, "A fragment does not begin as its transfer syntax says."
    CODESTREAM_SIZE = "codestream-size", Weight.QUARANTINE, "The codestream decodes to other dimensions than declared."
    OFFSET_TABLE = (
        "offset-table",
        Weight.QUARANTINE,
        "An offset table, basic or extended, does not point to the fragments.",
    )

    DIRECTORY_PATH = "directory-path", Weight.QUARANTINE, "A DICOMDIR names a file outside of its folder."
    ARCHIVE_PATH = "archive-path", Weight.QUARANTINE, "An entry of a ZIP names a path outside of where it is unpacked."
    ARCHIVE_BOUND = "archive-beyond-limit", Weight.REJECT, "A ZIP has more entries, size, ratio or depth than is read."

    # What is cleaned.
    PREAMBLE = "preamble", Weight.DISARM, "The preamble holds something other than zeros or TIFF (PS3.10 7.1)."
    TRAILING = "trailing-bytes", Weight.DISARM, "Bytes follow the last element of the data set."
    PRIVATE_PAYLOAD = "private-payload", Weight.DISARM, "An archive or document lies in a private element."

    # What is reported about objects that are accepted.
    SSN = "ssn-formatted", Weight.FINDING, "A valid Social Security number, as 3-2-4 digits, is in a text element."
    ESCAPES = "terminal-escape", Weight.FINDING, "A text gives orders to terminals."
    MARKUP = "markup", Weight.FINDING, "A text holds script or markup that a careless web page would run."
    SQL = "sql", Weight.FINDING, "A text looks like an injected SQL statement."
    FORMULA = "formula", Weight.FINDING, "A text would be run as a formula by a spreadsheet."
    LINE_FORGED = "line-break", Weight.FINDING, "A line break stands in a value of one line (forged log lines)."
    BURNED_IN_IDENTITY = (
        "burned-in-identity",
        Weight.FINDING,
        "The pixels show the patient's name, number or date of birth (read by OCR).",
    )
    PIXELS_BROKEN = "pixels-broken", Weight.FINDING, "A frame does not decode to what is declared."
    SIGNATURE_INVALID = "signature-invalid", Weight.FINDING, "A digital signature does not hold: something was altered."
    NOT_SCANNED = "not-scanned", Weight.FINDING, "Beyond the scanner's size limit: part of it was NOT SCANNED."

    # What is noted.
    SSN_BARE = "ssn-bare", Weight.NOTE, "Nine digits that would be a valid Social Security number are in a text."
    BURNED_IN = "burned-in-annotation", Weight.NOTE, "The object says that its pixels name the patient (0028,0301)."
    BURNED_IN_TEXT = "burned-in-text", Weight.NOTE, "Text can be read in the pixels (by OCR)."
    TIFF = "preamble-tiff", Weight.NOTE, "The preamble is a TIFF header that points into the file: dual-personality."
    HIGH_ENTROPY = "high-entropy", Weight.NOTE, "A long private value cannot be compressed: encrypted or compressed."
    COMPRESSED = "compressed-data", Weight.NOTE, "A private value begins as gzip does."
    STYLESHEET = "cda-stylesheet", Weight.NOTE, "The CDA names a style sheet; nothing is fetched."
    PDF_LINK = "pdf-link", Weight.NOTE, "The PDF has links or forms that act when clicked."
    PIXELS_LONG = "pixels-long", Weight.NOTE, "Pixel, overlay or icon data is longer than rows and columns say."
    PIXELS_UNCHECKED = (
        "pixels-not-checked",
        Weight.NOTE,
        "Not all pixels were decoded to check them; the detail says why.",
    )
    CODESTREAM_TAIL = "codestream-tail", Weight.NOTE, "Bytes follow the end of a codestream in its fragment."
    SIGNATURE = "signature", Weight.NOTE, "A digital signature (PS3.15 C) is present."
    SIGNATURE_VALID = (
        "signature-valid",
        Weight.NOTE,
        "A digital signature holds: what it covers is unchanged. Whether to trust its signer is not judged.",
    )
    SIGNATURE_UNCHECKED = "signature-not-checked", Weight.NOTE, "Whether a digital signature holds cannot be told."
    VALUE_LENGTH = "value-length", Weight.NOTE, "A value is longer than its VR allows, or no whole number of words."
    MULTIPLICITY = "value-multiplicity", Weight.NOTE, "An element has another number of values than PS3.6 says."
    NO_CREATOR = "no-private-creator", Weight.NOTE, "A private element has no private creator (PS3.5 7.8.1)."
    CHARSET = "character-set", Weight.NOTE, "A text has bytes that its character set does not have."
    NULL = "null-in-text", Weight.NOTE, "A text has a NULL before its end."
    DIRECTORY = "directory", Weight.NOTE, "The file is a DICOMDIR."
    DIRECTORY_MISSING = "directory-missing", Weight.NOTE, "A DICOMDIR names a file that is not there."
    NOT_STORABLE = "not-storable", Weight.NOTE, "An object of a class without a patient and a study."
    NO_PREAMBLE = "no-preamble", Weight.NOTE, "The file has no preamble and prefix (PS3.10 7.1)."
    NO_META = "no-meta", Weight.NOTE, "The file has no File Meta Information."
    NO_SYNTAX = "no-transfer-syntax", Weight.NOTE, "The File Meta Information names no transfer syntax."
    META_DIFFERS = "meta-differs", Weight.NOTE, "The File Meta Information names another object than the data set."
    # What the reader tolerates (leadglass.dicom).
    ODD_LENGTH = "odd-length", Weight.NOTE, "A value has an odd length (PS3.5 7.1)."
    NOT_A_VR = "not-a-vr", Weight.NOTE, "Filler stands in place of a VR."
    UNKNOWN_VR = "unknown-vr", Weight.NOTE, "Two letters that are no VR of the standard's."
    NOT_A_SEQUENCE = "not-a-sequence", Weight.NOTE, "A sequence's tag holds something else in Implicit VR."
    UN_SEQUENCE = "un-sequence", Weight.NOTE, "A sequence is encoded as UN (PS3.5 6.2.2)."
    ELEMENT_ORDER = "element-order", Weight.NOTE, "Tags do not ascend (PS3.5 7.1)."
    ELEMENT_REPEATED = "element-repeated", Weight.NOTE, "An element occurs twice with one value."
    GROUP_LENGTH = "group-length", Weight.NOTE, "A group length is wrong (retired, PS3.5 7.2)."
    DELIMITER_LENGTH = "delimiter-length", Weight.NOTE, "A delimiter has a length."
    LONG_VALUE = "long-value", Weight.NOTE, "A value that the index wants is too long to be kept."
    NATIVE_PIXELS = "native-pixels", Weight.NOTE, "Pixel data is native in an encapsulated transfer syntax."


BY_CODE = {reason.code: reason for reason in Reason}
