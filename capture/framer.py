"""What all machines that cut messages out of an endless line have in common. Pure.

A machine is fed bytes as they come and gives whole frames back. Whatever belongs to no frame is thrown away and
counted, and the next frame is found behind it. What may not happen here: a buffer without a bound; frames that depend
on how the bytes were split; work that grows faster than the bytes.
"""

from __future__ import annotations

BLANK = b" \t\r\n\0\xef\xbb\xbf\x1e"
"""What may stand between frames without being garbage: white space, NUL, a byte order mark, a record separator."""


class Framer:
    """While a frame is being received, it begins at the first byte held. `garbage` counts stretches, not bytes."""

    def __init__(self, frame_bytes: int) -> None:
        self.garbage = 0
        self._most = frame_bytes
        self._held = bytearray()
        self._at = 0  # up to here the bytes held have been looked at
        self._lost = False

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete."""
        self._held += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def give_up(self) -> list[bytes]:
        """No more will come of the frame that has begun: throw its beginning away, and look for frames behind it."""
        self._throw(min(1, len(self._held)))
        return self.feed(b"")

    @property
    def pending(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._held.strip(BLANK))

    @property
    def held_bytes(self) -> int:
        return len(self._held)

    def _next(self) -> bytes | None:
        """The next frame, or None until more bytes come."""
        raise NotImplementedError

    def _reset(self) -> None:
        """Forget what is known of the frame at the beginning."""

    def _throw(self, end: int) -> None:
        """Throw away what stands before `end`."""
        if not self._lost and self._held[:end].strip(BLANK):
            self.garbage += 1
            self._lost = True
        self._drop(end)

    def _take(self, end: int) -> bytes:
        """The frame that ends here."""
        frame = bytes(self._held[:end])
        self._lost = False
        self._drop(end)
        return frame

    def _drop(self, end: int) -> None:
        del self._held[:end]
        self._at = 0
        self._reset()
