"""Digital signatures in data sets (PS3.15 C, PS3.3 C.12.1.1.3): whether what each of them covers is as it was signed.

Two passes over the data set, since a signature tells at its end what it covers: the first collects signatures and MAC
parameters from the data set and every item of it, the second passes what they cover on to their MACs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final

from leadglass.crypto.macs import ObjectMac
from leadglass.dicom.container import Element
from leadglass.dicom.tags import PIXEL_DATA
from leadglass.dicom.uids import TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import FormatError, VerificationFailed
from leadglass.inspection.reasons import Reason
from leadglass.inspection.signed import (
    DIGITAL_SIGNATURES_SEQUENCE,
    MAC_PARAMETERS_SEQUENCE,
    Pieces,
    SignedForm,
    is_signable,
)
from leadglass.inspection.verdict import Finding
from leadglass.model import DataSetLimits

_MAC_ID: Final = 0x04000005
_MAC_SYNTAX: Final = 0x04000010
_MAC_ALGORITHM: Final = 0x04000015
_ELEMENTS_SIGNED: Final = 0x04000020
_CERTIFICATE: Final = 0x04000115
_SIGNATURE: Final = 0x04000120
#: C.12.1.1.3.1.2: what of the signature's own item is not signed: these, (0400,0305) and (0400,0310).
_UNSIGNED: Final = frozenset({_CERTIFICATE, _SIGNATURE, 0x04000305, 0x04000310})
_PARAMETERS: Final = frozenset({_MAC_ID, _MAC_SYNTAX, _MAC_ALGORITHM, _ELEMENTS_SIGNED})
_KEPT: Final = _PARAMETERS | {_CERTIFICATE, _SIGNATURE}
#: Signatures that are checked in one object, and bytes that are kept of one of them.
_MOST: Final = 8
_LONGEST: Final = 64 * 1024
#: What an item of either sequence takes in memory beside its values, and each byte of a list of tags.
_OVERHEAD: Final = 512
_TAGS_TAKE: Final = 16
_TAG: Final = Struct("<HH")


@dataclass(frozen=True, slots=True)
class _Parameters:
    """An item of the MAC Parameters Sequence. `tags`: what is signed of the data set or item that holds it."""

    syntax: str
    algorithm: str
    tags: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Signature:
    """An item of the Digital Signatures Sequence. `form`: what of it is signed itself; None when it is too long.
    `container`: number of the item that holds it, 0 for the data set."""

    container: int
    mac_id: bytes
    certificate: bytes
    signature: bytes
    form: bytes | None
    offset: int
    path: str


def check_signatures(opened: Callable[[], Pieces], syntax: TransferSyntax, limits: DataSetLimits) -> Iterator[Finding]:
    """A finding for each signature: it holds, it does not, or that cannot be told. `opened` gives the data set from its
    beginning each time, `syntax` is what it is in. Raises DataSetError when it is none."""
    collector = _Collector(syntax, limits)
    collector.read(opened())
    checks = [_Check(each, collector.parameters, syntax) for each in collector.signatures[:_MOST]]
    _Verifier(syntax, limits, [each for each in checks if not each.obstacle]).read(opened())
    for check in checks:
        yield check.result()
    for each in collector.signatures[_MOST : _MOST + 1]:
        detail = f"only the first {_MOST} signatures are checked"
        yield Finding(Reason.SIGNATURE_UNCHECKED, each.offset, each.path, detail=detail)


class _Check:
    """One signature on its way to be compared. `depth` is where its container lies, while it is read."""

    def __init__(
        self, signature: _Signature, parameters: Mapping[tuple[int, bytes], _Parameters], stored: TransferSyntax
    ) -> None:
        self.container = signature.container
        self.obstacle = ""
        self.depth = 0
        self.is_taking = False
        #: Depth of an element below it that no signature covers.
        self.muted: int | None = None
        self._signature = signature
        self._stored = stored
        found = parameters.get((signature.container, signature.mac_id))
        if found is None or not found.tags or not signature.signature:
            self.obstacle = "it has no MAC parameters or no value"
            return
        self._parameters = found
        syntax = TRANSFER_SYNTAXES.get(found.syntax)
        if syntax is None or not syntax.explicit_vr or not syntax.little_endian:
            self.obstacle = "its MAC is of an unknown transfer syntax"
            return
        self._syntax = syntax
        try:
            self._mac = ObjectMac(found.algorithm)
        except FormatError as error:
            self.obstacle = error.message

    def open(self, tag: int, vr: str, depth: int, *, is_encapsulated: bool) -> None:
        """An element begins `depth` below the data set."""
        signable = is_signable(tag)
        if depth == self.depth:
            self.muted = None
            self.is_taking = signable and tag in self._parameters.tags
        elif self.muted is None or depth <= self.muted:
            self.muted = None if signable else depth
        if not self.is_taking or self.muted is not None:
            return
        if vr == "UN":
            self.obstacle = "it covers an element whose VR is not known here"
        elif self._syntax.uid != self._stored.uid and (
            is_encapsulated or (tag == PIXEL_DATA and not depth and self._syntax.encapsulated)
        ):
            self.obstacle = "it covers pixels in another encoding"

    def over(self, depth: int) -> None:
        """Whatever was open deeper than `depth` is over."""
        if self.muted is not None and self.muted > depth:
            self.muted = None

    def take(self, data: bytes | memoryview) -> None:
        if self.is_taking and self.muted is None and not self.obstacle:
            self._mac.update(data)

    def result(self) -> Finding:
        reason, detail = self._compare()
        return Finding(reason, self._signature.offset, self._signature.path, detail=detail)

    def _compare(self) -> tuple[Reason, str]:
        signature = self._signature
        if self.obstacle or signature.form is None:
            return Reason.SIGNATURE_UNCHECKED, self.obstacle or "it is too long"
        self._mac.update(signature.form)
        algorithm = self._parameters.algorithm
        try:
            signer = self._mac.verify(signature.certificate, signature.signature)
        except VerificationFailed:
            if not self._stored.explicit_vr:
                return Reason.SIGNATURE_UNCHECKED, "it may hold in Explicit VR; Implicit VR does not tell OB from OW"
            return Reason.SIGNATURE_INVALID, algorithm
        except FormatError as error:
            return Reason.SIGNATURE_UNCHECKED, error.message
        return Reason.SIGNATURE_VALID, f"{signer.kind} and {algorithm}, certificate {signer.fingerprint}"


class _Collector(SignedForm):
    """The first pass."""

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits) -> None:
        super().__init__(syntax, limits)
        self.signatures: list[_Signature] = []
        self.parameters: dict[tuple[int, bytes], _Parameters] = {}
        #: The sequence in an item of which this is, the container that holds it, and its depth.
        self._sequence = 0
        self._holder = 0
        self._depth = 0
        self._values: dict[int, bytes] = {}
        self._form: bytearray | None = None
        self._is_signed = False
        self._offset = 0

    def _is_kept(self, tag: int, length: int) -> bool:
        return bool(self._sequence) and len(self._stack) == self._depth and tag in _KEPT and length <= _LONGEST

    def _on_value(self, element: Element) -> None:
        super()._on_value(element)
        self._values[element.tag] = element.value

    def _opened(self, tag: int, vr: str, depth: int, *, is_encapsulated: bool) -> None:  # noqa: ARG002
        if depth == self._depth:
            self._is_signed = is_signable(tag) and tag not in _UNSIGNED

    def _emit(self, data: bytes | memoryview) -> None:
        if self._form is not None and self._is_signed:
            self._form += data
            if len(self._form) > _LONGEST:
                self._form = None

    def _item_begins(self, sequence: int) -> None:
        if not self._sequence and sequence in (DIGITAL_SIGNATURES_SEQUENCE, MAC_PARAMETERS_SEQUENCE):
            self._sequence, self._holder, self._depth = sequence, self._numbers[-2], len(self._stack)
            self._values, self._form, self._is_signed = {}, bytearray(), False
            self._offset = self._base

    def _item_ended(self) -> None:
        if not self._sequence or len(self._stack) != self._depth - 1:
            return
        self._held += _OVERHEAD
        if self._sequence == MAC_PARAMETERS_SEQUENCE:
            self._keep_parameters()
        else:
            self._keep_signature()
        self._sequence = 0
        self._form = None

    def _keep_parameters(self) -> None:
        tags = self._values.get(_ELEMENTS_SIGNED, b"")
        signed = frozenset(group << 16 | number for group, number in _TAG.iter_unpack(tags[: len(tags) & ~3]))
        syntax, algorithm = (self._text(tag) for tag in (_MAC_SYNTAX, _MAC_ALGORITHM))
        self._held += len(tags) * _TAGS_TAKE
        self.parameters[self._holder, self._values.get(_MAC_ID, b"")] = _Parameters(syntax, algorithm, signed)

    def _keep_signature(self) -> None:
        mac_id, certificate, signature = (self._values.get(tag, b"") for tag in (_MAC_ID, _CERTIFICATE, _SIGNATURE))
        form = None if self._form is None else bytes(self._form)
        self._held += len(certificate) + len(signature) + len(form or b"")
        self.signatures.append(_Signature(self._holder, mac_id, certificate, signature, form, self._offset, self.place))

    def _text(self, tag: int) -> str:
        return self._values.get(tag, b"").decode("ascii", "replace").strip(" \0")


class _Verifier(SignedForm):
    """The second pass."""

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits, checks: list[_Check]) -> None:
        super().__init__(syntax, limits)
        self._waiting = checks
        self._active = [each for each in checks if not each.container]

    def _is_kept(self, tag: int, length: int) -> bool:  # noqa: ARG002 - nothing is
        return False

    def _opened(self, tag: int, vr: str, depth: int, *, is_encapsulated: bool) -> None:
        for check in self._active:
            check.open(tag, vr, depth, is_encapsulated=is_encapsulated)

    def _over(self, depth: int) -> None:
        for check in self._active:
            check.over(depth)

    def _emit(self, data: bytes | memoryview) -> None:
        for check in self._active:
            check.take(data)

    def _item_begins(self, sequence: int) -> None:  # noqa: ARG002
        for check in self._waiting:
            if check.container == self.number:
                check.depth = len(self._stack)
                self._active.append(check)

    def _item_ended(self) -> None:
        self._active = [each for each in self._active if each.container != self.number]
