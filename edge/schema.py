"""The ledger's file: its tables, its settings, and how it is opened.

What may not happen here: an older SQLite writing to it, a setting weaker than the durability that is promised, or two
SQLite libraries holding the file at once (their locks would undo each other).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import apsw
from sqlite_utils import Database, Migrations

from edge.errors import Misconfigured, StorageFailed

FILE = "ledger.sqlite3"
SUSPECT = "ledger.suspect"
VERSION = 3
PAGE_BYTES = 4096  # larger pages write more: 2.67x at 4 kB, 3.26x at 8 kB (security.md 3.2)
RESERVE_PAGES = 256  # kept from reads, so that acts and deletions still fit when reads no longer do
OLDEST_SQLITE = (3, 51, 3)  # first with the WAL-reset corruption fixed (sqlite.org/wal.html)

migrations = Migrations("anpr-edge-ledger")


@migrations()
def tables(db: Database) -> None:
    """`row` is session << 40 | seq: it grows over the node's whole life and is never given twice."""
    for statement in (
        """CREATE TABLE epochs (
            session INTEGER PRIMARY KEY, epoch BLOB NOT NULL, seq INTEGER NOT NULL, head BLOB NOT NULL,
            reads INTEGER NOT NULL, overviews INTEGER NOT NULL, acts INTEGER NOT NULL, started_ms INTEGER NOT NULL
        ) STRICT""",
        """CREATE TABLE records (
            row INTEGER PRIMARY KEY, kind TEXT NOT NULL, tier INTEGER NOT NULL, state INTEGER NOT NULL, code TEXT,
            received_ms INTEGER NOT NULL, size INTEGER NOT NULL, digest BLOB NOT NULL, head BLOB NOT NULL,
            data BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX waiting ON records (tier, row) WHERE state = 0",
        """CREATE TABLE totals (
            one INTEGER PRIMARY KEY CHECK (one = 1), waiting INTEGER NOT NULL, waiting_bytes INTEGER NOT NULL,
            refused INTEGER NOT NULL, damaged INTEGER NOT NULL
        ) STRICT""",
        "INSERT INTO totals VALUES (1, 0, 0, 0, 0)",
        "CREATE TABLE seen (key BLOB PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE INDEX seen_at ON seen (at_ms)",
        "PRAGMA user_version = 1",
    ):
        db.execute(statement)


@migrations()
def passages(db: Database) -> None:
    """Where the first record on a passage stands, so that a later message can name it, also after a restart."""
    db.execute("ALTER TABLE seen ADD COLUMN row INTEGER")
    db.execute("PRAGMA user_version = 2")


@migrations()
def keeping(db: Database) -> None:
    """What age is counted by: the clock as last seen, numbers written under a clock that nobody vouched for, and since
    when a ledger that was set aside is known. Small tables all: one row a boot, at most."""
    for statement in (
        """CREATE TABLE watch (
            one INTEGER PRIMARY KEY CHECK (one = 1), boot_id TEXT NOT NULL, offset_ms INTEGER NOT NULL,
            trusted INTEGER NOT NULL
        ) STRICT""",
        "CREATE TABLE unsure (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, until_ms INTEGER) STRICT",
        "CREATE TABLE set_aside (name TEXT PRIMARY KEY, known_ms INTEGER NOT NULL) STRICT",
        "PRAGMA user_version = 3",
    ):
        db.execute(statement)


class Ruined(StorageFailed):
    """The file is no ledger, or no longer one. `reason` is a stable word. Said only of a file just opened."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the ledger {FILE} is ruined: {reason}", "never delete it: it holds evidence")
        self.reason = reason


def require_sqlite() -> str:
    """The version of the SQLite that writes, or `Misconfigured` where it is one that can corrupt a WAL."""
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")[:3]) < OLDEST_SQLITE:
        raise Misconfigured(
            f"SQLite {version} is too old for the ledger: it can corrupt a write-ahead log",
            "install apsw 3.51.3 or newer from its wheel, which brings its own SQLite",
        )
    return version


def open_writer(state: Path, max_bytes: int) -> apsw.Connection:
    """The one connection that writes. Makes and migrates the file where needed. `Ruined` where the file is no ledger;
    any other `StorageFailed` is the disk's, and says nothing of the file. Its closing leaves the log as it is until
    `trust` is called: a ruined file's log may hold what the file does not.
    """
    require_sqlite()
    make_folder(state, "paths.state")
    path = state / FILE
    fresh = not path.exists()
    try:
        if fresh:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        if _version(path) < VERSION:
            _migrate(path)
        connection = _connected(path)
        with ExitStack() as undo:
            undo.callback(connection.close)
            _settle_in(connection, max_bytes)
            undo.pop_all()
        if fresh:
            sync_directory(state)
    except (apsw.Error, sqlite3.Error, UnicodeDecodeError, OSError) as problem:
        raise _why_not(problem) from problem
    return connection


def _connected(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def trust(connection: apsw.Connection) -> None:
    """The file was judged sound: from now on its closing tidies the log away, and what the log held before is in the
    file and on the disk. Pages of a log whose sync failed once are believed written by the system and are not: left in
    the log, the next power cut takes them (tests.proofs power --control sync-errors)."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    with suppress(apsw.FullError, apsw.BusyError):  # a full disk, or a reader of the log: it is emptied later
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


_RUINED = {
    apsw.SQLITE_ERROR: "no_ledger",  # a statement of ours that this file's tables do not take
    apsw.SQLITE_CORRUPT: "corrupt",
    apsw.SQLITE_NOTADB: "no_database",
    apsw.SQLITE_FORMAT: "no_database",
    apsw.SQLITE_TOOBIG: "corrupt",
    apsw.SQLITE_CONSTRAINT: "corrupt",
    apsw.SQLITE_MISMATCH: "corrupt",
}
"""Never IOERR, FULL, READONLY, CANTOPEN or BUSY: those are the disk's and say nothing of the file."""


def ruin(problem: BaseException) -> str | None:
    """The word for what this error says of a file just opened; None where it says nothing of the file."""
    if isinstance(problem, UnicodeDecodeError):
        return "corrupt"
    code = int(getattr(problem, "result", 0) or getattr(problem, "sqlite_errorcode", 0))
    return _RUINED.get(code & 0xFF)


def _why_not(problem: apsw.Error | sqlite3.Error | UnicodeDecodeError | OSError) -> StorageFailed:
    reason = ruin(problem)
    if reason is not None:
        return Ruined(reason)
    return StorageFailed(
        f"the ledger {FILE} cannot be opened: {type(problem).__name__}",
        "look at the disk first (anpr-edge doctor disk); never delete the file: it holds evidence",
    )


@contextmanager
def disk_failing(state: Path, but: type[apsw.Error] | None = None) -> Iterator[None]:
    """Turns what SQLite raises, `but` this, into what ends the process. Where a handle in use found the file malformed,
    it leaves word for the next opening to look closely: it may be this handle's word only (security.md 3.4)."""
    try:
        yield
    except apsw.Error as problem:
        if but is not None and isinstance(problem, but):
            raise
        if isinstance(problem, apsw.CorruptError | apsw.NotADBError):
            with suppress(OSError):
                os.close(os.open(state / SUSPECT, os.O_CREAT | os.O_WRONLY, 0o600))
        raise StorageFailed(
            f"the disk failed under the ledger: {type(problem).__name__}",
            "the service ends and opens the ledger anew; if this repeats, look at the disk: anpr-edge doctor disk",
        ) from problem


def _settle_in(connection: apsw.Connection, max_bytes: int) -> None:
    """Settings and reasons: security.md 3.2. FULL in WAL mode lost nothing in 6,800 simulated power cuts."""
    connection.set_busy_timeout(5000)
    for setting in (
        "locking_mode = NORMAL",
        "journal_mode = WAL",
        "synchronous = FULL",
        "secure_delete = OFF",  # rows are sealed; on, it writes half as much again
        "journal_size_limit = 8388608",
        "wal_autocheckpoint = 1000",
        f"max_page_count = {max_bytes // PAGE_BYTES + RESERVE_PAGES}",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "mmap_size = 0",
        "temp_store = MEMORY",
    ):
        connection.pragma(*[part.strip() for part in setting.split("=")])
    if connection.pragma("journal_mode") != "wal" or connection.pragma("synchronous") != 2:
        raise StorageFailed("the ledger's file system does not take a write-ahead log", "use ext4 on a local disk")


def _version(path: Path) -> int:
    connection = _connected(path)
    try:
        version = connection.pragma("user_version")
    finally:
        connection.close()
    if not isinstance(version, int) or version > VERSION:
        raise Misconfigured(
            f"the ledger is of format {version}, newer than this program's {VERSION}",
            "run the newer program; a ledger is never turned back",
        )
    return version


def _migrate(path: Path) -> None:
    """By sqlite-utils, over the standard library's SQLite, closed again before the writer opens."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA synchronous = EXTRA")
        migrations.apply(Database(connection))
    finally:
        connection.close()


def sync_directory(folder: Path) -> None:
    """Make a file's name as durable as its bytes (without it, 193 of 300 cuts rolled a rename back)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path, setting: str) -> None:
    """Make a folder, private to this user, where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (PermissionError, FileExistsError, NotADirectoryError) as problem:
        raise Misconfigured(
            f"{setting} names a folder that cannot be made: {problem.strerror}",
            "name another, or give it to the service's user",
        ) from problem
    except OSError as problem:
        raise StorageFailed(
            f"the folder of {setting} cannot be made: {problem.strerror}", "look at the disk: anpr-edge doctor disk"
        ) from problem


@contextmanager
def reader(state: Path) -> Iterator[Database]:
    """The ledger for reports, reading only, in a process of its own. `StorageFailed` where it cannot be read."""
    path = state / FILE
    if not path.exists():
        raise Misconfigured(f"there is no ledger in {state}", "start the service once, or name its state folder")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            yield Database(connection)
    except sqlite3.Error as problem:
        raise StorageFailed(
            f"the ledger cannot be read: {type(problem).__name__}",
            "look at the disk first; never delete the file: it holds evidence",
        ) from problem
