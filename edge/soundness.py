"""Opens a ledger that is sound, whatever it finds: one that is ruined is set aside whole, and a new one begun.

What may not happen here: judging by a handle that was in use, moving a file for a fault of the disk, parting a file
from its log, or deleting what nobody has salvaged.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from edge import row
from edge.errors import StorageFailed, Tampered
from edge.salvage import newest_session
from edge.schema import (
    FILE,
    SUSPECT,
    Ruined,
    disk_failing,
    make_folder,
    open_writer,
    require_sqlite,
    ruin,
    sync_directory,
    trust,
)

FOLDER = "quarantine-ledger"
KEPT = 2
"""So many are kept; of more, the oldest that was salvaged whole is deleted."""
MOVING, SALVAGED, PARTLY = ".moving", ".salvaged", ".partly"
NEWEST_ROWS = 100
_CHECK_S, _SUSPECT_CHECK_S = 2.0, 20.0  # what a start may spend on looking; systemd gives it 90
_LOOK_FOR_SESSION_S = 2.0
_UNSEEN_STARTS = 1000  # starts that a hasty look may have missed
_PROGRESS_STEPS = 1000
_TABLES = {"epochs", "records", "totals", "seen", "watch", "unsure", "set_aside"}
_SEQ_MASK = (1 << 40) - 1


@dataclass(frozen=True, slots=True)
class SetAside:
    """A ledger that was moved away whole. `last`: session, epoch, seq and head of its last epoch, where they could
    still be read."""

    name: str
    reason: str
    size_bytes: int
    last: tuple[int, bytes, int, bytes] | None


@dataclass(frozen=True, slots=True)
class Opened:
    db: apsw.Connection
    set_aside: SetAside | None


def opened(state: Path, max_bytes: int, now_ms: int, mono_s: Callable[[], float]) -> Opened:
    """The ledger of `state`, judged sound; or a new one, where two fresh openings both found the old one ruined."""
    require_sqlite()
    make_folder(state, "paths.state")
    _finish_moving(state)
    reason, last = "log_without_file", None
    if not _log_without_file(state):
        for _ in range(2):
            try:
                db = open_writer(state, max_bytes)
            except Ruined as ruined:
                reason = ruined.reason
                continue
            found, last = _judged(db, state, mono_s)
            if found is None:
                with disk_failing(state):
                    trust(db)
                (state / SUSPECT).unlink(missing_ok=True)
                return Opened(db, None)
            reason = found
            db.close()
    aside = _set_aside(state, reason, last, now_ms)
    db = open_writer(state, max_bytes)
    trust(db)
    return Opened(db, aside)


def _log_without_file(state: Path) -> bool:
    """A log beside no database, or an empty one: SQLite would delete it, and it may hold all there is."""
    file, log = state / FILE, state / (FILE + "-wal")
    return (not file.exists() or file.stat().st_size == 0) and log.exists() and log.stat().st_size > 0


# judging


def _judged(
    db: apsw.Connection, state: Path, mono_s: Callable[[], float]
) -> tuple[str | None, tuple[int, bytes, int, bytes] | None]:
    """What is wrong, or None; and the end of the last epoch, where it can be read."""
    last: Any = None
    try:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables >= _TABLES or len(db.execute("SELECT * FROM totals").fetchall()) != 1:
            return "no_ledger", None
        rows = db.execute("SELECT session, epoch, seq, head FROM epochs ORDER BY session DESC LIMIT 1").fetchall()
        last = rows[0] if rows else None
        if last is not None and not _is_end(last):
            return "corrupt", None
        return _looked_through(db, (state / SUSPECT).exists(), mono_s), last
    except apsw.Error as problem:
        reason = ruin(problem)
        if reason is None:
            db.close()
            raise StorageFailed(f"the disk failed under the ledger: {type(problem).__name__}") from problem
        return reason, last


def _looked_through(db: apsw.Connection, suspected: bool, mono_s: Callable[[], float]) -> str | None:
    rows = db.execute(
        "SELECT r.row, e.epoch, r.data FROM records r LEFT JOIN epochs e ON e.session = r.row >> 40"
        " ORDER BY r.row DESC LIMIT ?",
        (NEWEST_ROWS,),
    ).fetchall()
    damaged = sum(not _holds(*each) for each in rows)
    # One bad bit costs one row, which is set aside by itself; a tail of them is a disk that lied.
    if damaged > max(2, len(rows) // 2):
        return "damaged_rows"
    until_s = mono_s() + (_SUSPECT_CHECK_S if suspected else _CHECK_S)
    db.set_progress_handler(lambda: mono_s() > until_s, _PROGRESS_STEPS)
    try:
        found = db.execute("PRAGMA quick_check(1)").fetchall()
    except apsw.InterruptError:
        return "suspect" if suspected else None
    finally:
        db.set_progress_handler(None)
    return None if found == [("ok",)] else "corrupt"


def _holds(at: Any, epoch: Any, data: Any) -> bool:
    try:
        row.unwrap(epoch if isinstance(epoch, bytes) else b"", at & _SEQ_MASK, data)
    except Tampered:
        return False
    return True


def _is_end(last: tuple[Any, ...]) -> bool:
    session, epoch, seq, head = last
    if not (isinstance(epoch, bytes) and isinstance(head, bytes) and isinstance(seq, int)):
        return False  # types read back from a ruined file are no promise (security.md 3.2)
    return len(epoch) == 12 and len(head) == 32 and int.from_bytes(epoch[:4], "big") == session


def session_before(state: Path, aside: SetAside | None, mono_s: Callable[[], float]) -> int:
    """A start counter that no record of a ruined ledger is beyond, as far as two seconds show. 0: there was none."""
    if aside is None:
        return 0
    if aside.last is not None:
        return aside.last[0]
    newest = newest_session(state / FOLDER / aside.name, mono_s, _LOOK_FOR_SESSION_S)
    return newest + _UNSEEN_STARTS if newest else 0


# moving


def _set_aside(state: Path, reason: str, last: tuple[int, bytes, int, bytes] | None, now_ms: int) -> SetAside:
    """Move file, log and index together. Cut short at any point, the next start finishes it."""
    name = f"{now_ms}-{reason}"
    moving = state / FOLDER / (name + MOVING)
    try:
        if os.statvfs(state).f_flag & os.ST_RDONLY:
            raise StorageFailed("the disk has become read-only", "look at the disk: anpr-edge doctor disk")
        moving.mkdir(parents=True, mode=0o700, exist_ok=True)
        sync_directory(state)
        sync_directory(moving.parent)
        _finish_moving(state, new=moving)
        size = sum(each.stat().st_size for each in (state / FOLDER / name).iterdir() if not each.name.endswith("-shm"))
        (state / SUSPECT).unlink(missing_ok=True)
    except OSError as problem:
        raise _moving_failed(problem) from problem
    return SetAside(name, reason, size, last)


def _finish_moving(state: Path, new: Path | None = None) -> None:
    """The file first: a log without a file is seen at the next start, a file without its log would not be."""
    folders = [new] if new is not None else sorted((state / FOLDER).glob("*" + MOVING))
    try:
        for moving in folders:
            begun = (moving / FILE).exists()
            for name in (FILE, FILE + "-wal", FILE + "-shm"):
                there = state / name
                if there.exists() and (new is not None or begun):
                    there.rename(moving / name)
            sync_directory(moving)
            sync_directory(state)
            if any(moving.iterdir()):
                moving.rename(moving.with_name(moving.name.removesuffix(MOVING)))
            else:
                moving.rmdir()
            sync_directory(moving.parent)
    except OSError as problem:
        raise _moving_failed(problem) from problem


def _moving_failed(problem: OSError) -> StorageFailed:
    return StorageFailed(
        f"the ruined ledger cannot be set aside: {problem.strerror}", "look at the disk: anpr-edge doctor disk"
    )


# what was set aside


def kept(state: Path) -> list[Path]:
    """Every ledger that was set aside, oldest first."""
    folder = state / FOLDER
    found = [each for each in folder.iterdir() if not each.name.endswith(MOVING)] if folder.is_dir() else []
    return sorted(found, key=lambda each: _order(each.name))


def _order(name: str) -> tuple[int, str]:
    first = name.partition("-")[0]
    return (int(first) if first.isdecimal() else 0), name


def name_of(folder: Path) -> str:
    """Its name whatever has been done to it since."""
    return folder.name.removesuffix(SALVAGED).removesuffix(PARTLY)


def is_salvaged(folder: Path) -> bool:
    return folder.name.endswith((SALVAGED, PARTLY))


def mark(folder: Path, whole: bool) -> None:
    """Salvage is over. `whole`: everything that was found is in the ledger again."""
    folder.rename(folder.with_name(folder.name + (SALVAGED if whole else PARTLY)))
    sync_directory(folder.parent)


def to_delete(folders: list[Path]) -> Path | None:
    """The oldest that was salvaged whole, where more are kept than need be."""
    whole = [each for each in folders if each.name.endswith(SALVAGED)]
    return whole[0] if whole and len(folders) > KEPT else None


def delete(folder: Path) -> None:
    shutil.rmtree(folder)
    sync_directory(folder.parent)
