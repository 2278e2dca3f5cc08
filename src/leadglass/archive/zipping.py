"""ZIP files that are written as they go out, and kept nowhere. Their members are as they are, not compressed: pixels
hardly shrink, and whoever unpacks them is spared a bomb that is none."""

import zipfile
from collections.abc import Iterable, Iterator

Buffer = bytes | bytearray | memoryview

#: ZIP's own beginning of time: a file says nothing about when it was read.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def zipped(members: Iterable[tuple[str, Iterable[Buffer]]]) -> Iterator[bytes]:
    """Of names and contents, each opened when its turn comes."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, content in members:
            with archive.open(zipfile.ZipInfo(name, _NO_TIME), "w", force_zip64=True) as file:
                for buffer in content:
                    file.write(buffer)
                    yield sink.taken()
    yield sink.taken()


class _Sink:
    """Where `zipfile` writes; it cannot seek, so that sizes follow what they are of."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Buffer) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def taken(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
