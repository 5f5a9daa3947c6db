"""What FTP sessions hold: names, and uploads in memory.

Pure but for the memory it counts. What may not happen here: a file; a name that climbs out of the root or that could
break an answer; bytes beyond the limits; folders that cost anything (all of them exist, none of them is kept).
"""

from __future__ import annotations

from capture.delivery import InHand
from edge.errors import Refused

_DEEPEST = 16
_SEGMENT_BYTES = 255  # what every file system grants
_PATH_BYTES = 1024
_REMEMBERED = 64

_CONTENT_TYPES = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "bmp": "image/bmp",
    "xml": "application/xml",
    "json": "application/json",
    "csv": "text/csv",
    "txt": "text/plain",
}

Path = tuple[str, ...]


def resolved(folder: Path, heard: str) -> Path:
    """The path that a camera means, from the root; `..` ends at the root. Raises `Refused` (bad_name).

    A backslash divides as a slash does, so that no name holds either. Nothing is decoded: `%2e%2e%2f` is a name.
    """
    parts = [] if heard.startswith(("/", "\\")) else list(folder)
    for part in heard.replace("\\", "/").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(_segment(part))
    if len(parts) > _DEEPEST or len("/".join(parts).encode()) > _PATH_BYTES:
        raise Refused("the name of an upload is too long", reason="bad_name")
    return tuple(parts)


def _segment(part: str) -> str:
    if not part.strip(" .") or not part.isprintable() or len(part.encode()) > _SEGMENT_BYTES:
        raise Refused("the name of an upload cannot be one", reason="bad_name")
    return part


def content_type(path: Path) -> str:
    """What the name says of the content; empty where it says nothing that is known here."""
    return _CONTENT_TYPES.get(path[-1].rpartition(".")[2].lower(), "")


class Overfull(OSError):
    """An upload has met a limit. `reason`: too_large, or busy."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Upload:
    """A file that is being uploaded, as pyftpdlib wants to see one."""

    def __init__(self, path: Path, most_bytes: int, hand: InHand) -> None:
        """Takes a place in hand. Raises `Overfull` (busy) where there is none."""
        if not hand.take(0):
            raise Overfull("busy")
        self.path = path
        self.size_bytes = 0
        self.closed = False
        self._most_bytes = most_bytes
        self._hand: InHand | None = hand
        self._chunks: list[bytes] = []

    @property
    def name(self) -> str:
        """What pyftpdlib would show in a log: nothing."""
        return ""

    def write(self, chunk: bytes) -> None:
        """Raises `Overfull`."""
        if self.size_bytes + len(chunk) > self._most_bytes:
            raise Overfull("too_large")
        if self._hand is None or not self._hand.grow(len(chunk)):
            raise Overfull("busy")
        self.size_bytes += len(chunk)
        self._chunks.append(chunk)

    def close(self) -> None:
        self.closed = True

    def body(self) -> bytes:
        self._chunks[:] = [b"".join(self._chunks)]  # one copy is kept, and counted as long as it is
        return self._chunks[0]

    def give(self) -> None:
        """Let go of the bytes and of their place."""
        if self._hand is not None:
            self._hand.give(self.size_bytes)
            self._hand = None
        self._chunks.clear()


class Shelf:
    """What one session may still ask after: uploads that wait for their rename, and the sizes of those stored."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[Path, Upload] = {}
        self._stored: dict[Path, int] = {}

    def hold(self, upload: Upload) -> bool:
        """Keep an upload under its path; False, and it is let go of, where there are too many."""
        self.drop(upload.path)
        if len(self._held) >= self._most:
            upload.give()
            return False
        self._held[upload.path] = upload
        return True

    def held(self, path: Path) -> Upload | None:
        return self._held.get(path)

    def take(self, path: Path) -> Upload | None:
        """Take an upload off the shelf, for its delivery."""
        return self._held.pop(path, None)

    def drop(self, path: Path) -> bool:
        upload = self._held.pop(path, None)
        if upload is not None:
            upload.give()
        return upload is not None

    def clear(self) -> int:
        """Let go of what was never renamed; how many that were."""
        count = len(self._held)
        for path in list(self._held):
            self.drop(path)
        return count

    def note_stored(self, path: Path, size_bytes: int) -> None:
        self._stored.pop(path, None)
        self._stored[path] = size_bytes
        if len(self._stored) > _REMEMBERED:
            del self._stored[next(iter(self._stored))]

    def stored(self, path: Path) -> bool:
        return path in self._stored

    def size_bytes(self, path: Path) -> int | None:
        held = self._held.get(path)
        return self._stored.get(path) if held is None else held.size_bytes
