"""Documents that the archive makes of a study and keeps in the index: sealed under the study's key, so that they end
with it, and bound to what they were made of (docs/formats/index.md).
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from leadglass.crypto.streaming import KEY, StreamOpener, plaintext_length, seal
from leadglass.crypto.wrapping import OVERHEAD, unwrap_key, wrap_key
from leadglass.errors import VerificationFailed

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

_WRAPPED = KEY + OVERHEAD


def seal_document(archive: "Archive", study_id: int, document: bytes, bound_to: bytes) -> bytes:
    study = archive.keyring.of_study(archive.index.study(study_id))
    key, associated = os.urandom(KEY), archive.archive_id + bound_to
    return wrap_key(study.key, key, associated) + seal(key, associated, document)


def open_document(archive: "Archive", study_id: int, content: bytes, bound_to: bytes) -> Iterator[bytearray]:
    """The document in buffers of at most 1 MiB. Raises VerificationFailed unless it was sealed for the same."""
    if len(content) < _WRAPPED:
        raise VerificationFailed("A prepared document is cut short.", "Run `leadglass fsck`.")
    study = archive.keyring.of_study(archive.index.study(study_id))
    associated = archive.archive_id + bound_to
    key = unwrap_key(study.key, content[:_WRAPPED], associated)
    sealed = memoryview(content)[_WRAPPED:]
    opener = StreamOpener(
        key,
        associated,
        lambda offset, length: bytes(sealed[offset : offset + length]),
        plaintext_length(len(sealed)),
    )
    return opener.chunks()
