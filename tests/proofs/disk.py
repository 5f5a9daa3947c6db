"""A disk under power: what was written, what of it is durable, and what may be found after a cut.

A model, pure but for the cut itself. Until a file is synced, each of its sectors may be found as it was at any moment
since the last sync, in any combination, and so may its length; until its folder is synced, so may its name.
What may not happen here: a cut that keeps less than what was synced, or more than what was written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random


class PowerCut(Exception):
    """The power went at this operation. No error of SQLite, so that nothing under test can handle it."""


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes at an offset, or a new length where `data` is None."""

    offset: int
    data: bytes | None = field(repr=False)


_PAGE = 4096


class Inode:
    """A file's bytes: those durable, and the operations since."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = bytearray(durable)
        self.pending: list[Written] = []
        self.adrift: dict[int, bytes] = {}
        """Pages whose sync failed: the kernel calls them clean, programs see them, the disk never has them."""

    def sync_fails(self, chance: Random) -> None:
        """As on Linux: an error once, some pages written, and no second try for the others."""
        seen = bytearray(self.durable)
        for each in [Written(page, content) for page, content in self.adrift.items()] + self.pending:
            _apply(seen, each)
        adrift = {page for page in self._dirty() | self.adrift.keys() if page < len(seen)}
        reached = {page for page in self._dirty() if chance.random() < 0.5}
        for each in self.pending:
            for part in _sectors(each, _PAGE) if each.data is not None else [each]:
                if each.data is None or part.offset - part.offset % _PAGE in reached:
                    _apply(self.durable, part)
        self.adrift = {page: bytes(seen[page : page + _PAGE]) for page in adrift - reached}
        self.pending.clear()

    def _dirty(self) -> set[int]:
        ends = [(each.offset, each.offset + len(each.data or b"")) for each in self.pending]
        return {page for first, last in ends for page in range(first - first % _PAGE, last, _PAGE)}

    def sync(self) -> None:
        for page in self._dirty() & self.adrift.keys():  # written again, and so whole
            _apply(self.durable, Written(page, self.adrift.pop(page)))
        for each in self.pending:
            _apply(self.durable, each)
            if each.data is None:
                self.adrift = {page: content for page, content in self.adrift.items() if page < each.offset}
        self.pending.clear()

    def found(self, chance: Random, sector: int, keep: float) -> bytes:
        """What may be there after a cut: about `keep` of what was not synced."""
        sizes, size = [len(self.durable)], len(self.durable)
        content = bytearray(self.durable)
        for each in self.pending:
            end = each.offset + len(each.data or b"")
            size = end if each.data is None else max(size, end)
            sizes.append(size)
            if each.data is not None:
                for part in _sectors(each, sector):
                    if chance.random() < keep:
                        _apply(content, part)
        length = size if chance.random() < keep else chance.choice(sizes)
        if length > len(content):  # a length that came without its bytes: what lay there before
            more = length - len(content)
            content += bytes(more) if chance.random() < 0.5 else chance.randbytes(more)
        return bytes(content[:length])


def _apply(content: bytearray, written: Written) -> None:
    if written.data is None:
        del content[written.offset :]
        content.extend(bytes(written.offset - len(content)))
        return
    if written.offset > len(content):
        content.extend(bytes(written.offset - len(content)))
    content[written.offset : written.offset + len(written.data)] = written.data


def _sectors(written: Written, sector: int) -> list[Written]:
    """The same bytes, cut where sectors meet."""
    parts, data, at = [], written.data or b"", 0
    while at < len(data):
        until = min(len(data), at + sector - (written.offset + at) % sector)
        parts.append(Written(written.offset + at, data[at:until]))
        at = until
    return parts


@dataclass(slots=True)
class Faults:
    """A disk that is worse than promised, for the controls: what it ignores."""

    folder_syncs: bool = False
    file_syncs: float = 0.0
    """Share of the syncs that it only says it did."""
    sync_errors: float = 0.0
    """Share of the syncs that fail, and say so."""


class Disk:
    """One folder of files and its future: the power goes at the `cut_at`-th operation that changes anything.

    `room_bytes`: what all files together may hold, None without bound. After the cut it is dark and takes nothing.
    """

    def __init__(self, chance: Random, cut_at: int | None = None, faults: Faults | None = None) -> None:
        self._chance = chance
        self._cut_at = cut_at
        self._faults = faults or Faults()
        self._names: dict[str, list[Inode | None]] = {}
        self.operations = 0
        self.dark = False
        self.room_bytes: int | None = None

    def load(self, folder: Path) -> None:
        """What is there at the start, all of it durable."""
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.endswith("-shm"):
                self._names[path.name] = [Inode(path.read_bytes())]

    def _inode(self, name: str) -> Inode | None:
        history = self._names.get(name)
        return history[-1] if history else None

    def _step(self) -> bool:
        """Counts an operation; the power may go before it, or once it is done and before anyone hears so."""
        self.operations += 1
        if self.operations != self._cut_at:
            return False
        if self._chance.random() < 0.5:
            self.dark = True
            raise PowerCut
        return True

    def _end(self, cut: bool) -> None:
        if cut:
            self.dark = True
            raise PowerCut

    def create(self, name: str) -> None:
        if not self.dark and self._inode(name) is None:
            cut = self._step()
            self._names.setdefault(name, [None]).append(Inode())
            self._end(cut)

    def delete(self, name: str, folder_too: bool) -> None:
        if not self.dark and self._inode(name) is not None:
            cut = self._step()
            self._names[name].append(None)
            if folder_too:
                self._sync_folder()
            self._end(cut)

    def write(self, name: str, offset: int, data: bytes) -> None:
        self._change(name, Written(offset, data))

    def truncate(self, name: str, size: int) -> None:
        self._change(name, Written(size, None))

    def _change(self, name: str, written: Written) -> None:
        inode = self._inode(name)
        if not self.dark and inode is not None:
            cut = self._step()
            inode.pending.append(written)
            self._end(cut)

    def sync(self, name: str, folder_too: bool) -> bool:
        """False where it failed."""
        inode = self._inode(name)
        if not self.dark and inode is not None:
            cut = self._step()
            if self._chance.random() < self._faults.sync_errors:
                inode.sync_fails(self._chance)
                self._end(cut)
                return False
            if self._chance.random() >= self._faults.file_syncs:
                inode.sync()
            if folder_too:
                self._sync_folder()
            self._end(cut)
        return True

    def _sync_folder(self) -> None:
        if not self._faults.folder_syncs:
            for name, history in self._names.items():
                self._names[name] = history[-1:]

    def found(self, folder: Path) -> None:
        """Write into an empty folder what may be there after the cut."""
        sector, keep = self._chance.choice((512, 4096)), self._chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for name, history in self._names.items():
            inode = history[-1] if self._chance.random() < keep else self._chance.choice(history)
            if inode is not None:
                (folder / name).write_bytes(inode.found(self._chance, sector, keep))
