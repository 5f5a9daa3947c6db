"""Finds records in the bytes of a ledger that SQLite no longer reads: by magic, length and tag. Reads only.

A record is believed only when its tag fits the epoch and number inside it, so a wrong guess costs time and nothing
else. Works without the file's first page, without its trees, and over what the write-ahead log had not yet handed on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from edge import row
from edge.errors import Tampered
from edge.read import Kind
from edge.schema import FILE, PAGE_BYTES
from edge.sign import decode

_WAL_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24  # sqlite.org/fileformat2.html, 4
_LEAF = 0x0D  # a leaf of a table; 1.6
_LOCAL_MAX = PAGE_BYTES - 35  # payload up to this lies whole in its leaf; 1.6
_LOCAL_MIN = (PAGE_BYTES - 12) * 32 // 255 - 23
_LINK_BYTES = 4  # an overflow page begins with the number of the next
_PREFIXES = range(72, 200)  # how far a row's `data` can lie from the start of its payload: the columns before it
_CELL_TO_DATA = 220  # the same from the start of its cell
_SEALED_MAX_BYTES = 65_536  # wire.md 4.3
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Found:
    """One record whose tag holds. `received_ms` is None where the column beside it was not to be read."""

    node: str
    epoch: bytes = field(repr=False)
    seq: int
    kind: Kind
    received_ms: int | None
    digest: bytes = field(repr=False)
    head: bytes = field(repr=False)
    data: bytes = field(repr=False)


class Scan:
    """One walk over the pages of a database and its log in `folder`. Iterating gives a `Found`, or None at the end of
    each page, so that a reader can rest. `damaged` counts live records whose tag does not hold."""

    def __init__(self, folder: Path) -> None:
        self._db = _opened(folder / FILE)
        self._wal = _opened(folder / (FILE + "-wal"))
        self._logged = _frames(self._wal)
        self._held = -(-_size(self._db) // PAGE_BYTES)
        self._last = max([self._held, *self._logged])
        self._free = self._freelist()
        self.damaged = 0

    def close(self) -> None:
        for file in (self._db, self._wal):
            if file is not None:
                file.close()

    def __iter__(self) -> Iterator[Found | None]:
        # A log may name any number, so what lies beyond the file is walked by name and not by counting.
        beyond = sorted(number for number in self._logged if number > self._held)
        for number in chain(range(1, self._held + 1), beyond):
            page = b"" if number in self._free else self._page(number)
            if row.MAGIC in page:
                yield from self._in(page)
            yield None

    def _in(self, page: bytes) -> Iterator[Found]:
        cells = _cells(page)
        at = page.find(row.MAGIC)
        while at >= 0:
            live = cells is None or any(0 < at - cell <= _CELL_TO_DATA for cell in cells)
            found = self._record(page, at) if live else None
            if found is not None:
                yield found
            self.damaged += found is None and live and cells is not None
            at = page.find(row.MAGIC, at + 1)

    def _record(self, page: bytes, at: int) -> Found | None:
        """The record that begins at this place of a page, wherever the rest of it lies."""
        length = row.length_at(page, at)
        if length is None or length > _SEALED_MAX_BYTES or at < 2 * _HASH_BYTES:
            return None
        for here in _splits(length):
            data = self._gathered(page, at, here, length)
            found = None if data is None else _believed(data)
            if found is not None:
                node, epoch, seq, kind = found
                digest, head = page[at - 64 : at - 32], page[at - 32 : at]
                return Found(node, epoch, seq, kind, _received_ms(page, at, length), digest, head, data or b"")
        return None

    def _gathered(self, page: bytes, at: int, here: int, length: int) -> bytes | None:
        """`length` bytes, of which the first `here` lie in this page and the rest in the overflow pages it names."""
        parts, left = [page[at : at + here]], length - here
        if left and at + here + _LINK_BYTES > len(page):
            return None
        link = int.from_bytes(page[at + here : at + here + _LINK_BYTES], "big") if left else 0
        while left > 0:
            if not 1 < link <= self._last:
                return None
            more = self._page(link)
            link = int.from_bytes(more[:_LINK_BYTES], "big")
            parts.append(more[_LINK_BYTES : _LINK_BYTES + left])
            left -= PAGE_BYTES - _LINK_BYTES
        return b"".join(parts)

    def _page(self, number: int) -> bytes:
        """The page as it was last committed: from the log where it has it; empty where it cannot be read."""
        file, at = (
            (self._wal, self._logged[number]) if number in self._logged else (self._db, (number - 1) * PAGE_BYTES)
        )
        if file is None:
            return b""
        try:
            file.seek(at)
            return file.read(PAGE_BYTES)
        except OSError:  # one bad block must not hide the others
            return b""

    def _freelist(self) -> set[int]:
        """Pages that hold only what was let go; none known where the first page does not say."""
        first, free = self._page(1), set[int]()
        if not first.startswith(b"SQLite format 3\0") or len(first) < PAGE_BYTES:
            return free
        trunk = int.from_bytes(first[32:36], "big")
        while 1 < trunk <= self._last and trunk not in free:
            free.add(trunk)
            page = self._page(trunk)
            count = int.from_bytes(page[4:8], "big")
            if len(page) < PAGE_BYTES or count > PAGE_BYTES // 4:
                break
            free.update(struct.unpack_from(f">{min(count, PAGE_BYTES // 4 - 2)}I", page, 8))
            trunk = int.from_bytes(page[:4], "big")
        return free


def newest_session(folder: Path, mono_s: Callable[[], float], within_s: float) -> int:
    """The highest start counter among the records that are found in this time; 0 where there is none."""
    scan, until_s, newest = Scan(folder), mono_s() + within_s, 0
    try:
        for found in scan:
            if found is not None:
                newest = max(newest, int.from_bytes(found.epoch[:4], "big"))
            elif mono_s() > until_s:
                break
    finally:
        scan.close()
    return newest


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _size(file: BinaryIO | None) -> int:
    return 0 if file is None else file.seek(0, 2)


def _frames(wal: BinaryIO | None) -> dict[int, int]:
    """Where the log holds each page's newest image, up to the last commit of the log's present round."""
    committed: dict[int, int] = {}
    pending: dict[int, int] = {}
    if wal is None:
        return committed
    salts, at, size = None, _WAL_HEADER_BYTES, _size(wal)
    while at + _FRAME_HEADER_BYTES + PAGE_BYTES <= size:
        wal.seek(at)
        number, commit, *salt = struct.unpack(">4I", wal.read(16))
        salts = salts or salt
        if salt != salts:
            break
        pending[number] = at + _FRAME_HEADER_BYTES
        if commit:
            committed |= pending
            pending = {}
        at += _FRAME_HEADER_BYTES + PAGE_BYTES
    return committed


def _cells(page: bytes) -> tuple[int, ...] | None:
    """Where the live cells of a leaf begin; None where the page is no leaf, or a broken one."""
    count = int.from_bytes(page[3:5], "big")
    if page[0] != _LEAF or not 0 < count <= (PAGE_BYTES - 8) // 2 or len(page) < PAGE_BYTES:
        return None
    cells = struct.unpack_from(f">{count}H", page, 8)
    return cells if all(8 + 2 * count <= cell < PAGE_BYTES for cell in cells) else None


def _splits(length: int) -> list[int]:
    """How many of a record's bytes can lie in its leaf, by the file format's rule, likeliest first."""
    found: dict[int, int] = {}
    for prefix in _PREFIXES:
        payload = prefix + length
        local = payload
        if payload > _LOCAL_MAX:
            local = _LOCAL_MIN + (payload - _LOCAL_MIN) % (PAGE_BYTES - _LINK_BYTES)
            local = local if local <= _LOCAL_MAX else _LOCAL_MIN
        here = local - prefix
        found[here] = found.get(here, 0) + 1
    return sorted(found, key=lambda here: -found[here])


def _believed(data: bytes) -> tuple[str, bytes, int, Kind] | None:
    """Node, epoch, number and kind that a row's own bytes state, where its tag holds for them."""
    try:
        said = decode(data[row.HEAD_BYTES :])
        if not isinstance(said, dict):
            return None
        node, epoch, seq, kind = (said.get(name) for name in ("node", "epoch", "seq", "kind"))
        if not (isinstance(node, str) and isinstance(epoch, bytes) and len(epoch) == 12 and type(seq) is int):
            return None
        row.unwrap(epoch, seq, data)
        return node, epoch, seq, Kind(kind)
    except (Tampered, ValueError, OverflowError):
        return None


def _received_ms(page: bytes, at: int, length: int) -> int | None:
    """The column before `size`, which stands before the two hashes: six bytes for any time of this century."""
    for width in (2, 3):  # the file format's integers are signed
        end = at - 2 * _HASH_BYTES - width
        if end >= 6 and int.from_bytes(page[end : end + width], "big", signed=True) == length:
            return int.from_bytes(page[end - 6 : end], "big")
    return None
