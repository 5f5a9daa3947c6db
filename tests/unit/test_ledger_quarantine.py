"""A ruined ledger: judged after a fresh opening, set aside whole, said so, and put back from its bytes."""

from __future__ import annotations

import errno
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge import soundness
from edge.changes import Accept, Settle, Tier
from edge.errors import StorageFailed
from edge.ledger import Ledger
from edge.read import Record
from edge.retention import Terms
from edge.schema import FILE, SUSPECT
from tests.fixtures.turned_clock import TurnedClock

Make = Callable[..., Any]
ALL = (0, 2**62, 10_000)
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def forwarded(ledger: Ledger) -> list[Record]:
    return sorted((r for tier in Tier for r in ledger.waiting(tier, *ALL)), key=lambda r: r.row)


def acts(ledger: Ledger, keys: Any, epoch: bytes) -> dict[str, Any]:
    """The acts of an epoch by name."""
    mine = [r for r in forwarded(ledger) if r.epoch == epoch]
    bodies = [keys.unseal(r.sealed)[1]["body"] for r in mine]
    return {body["act"]: body["detail"] for body in bodies if "act" in body}


def filled(open_ledger: Make, make_evidence: Make, reads: int = 60) -> dict[tuple[bytes, int], bytes]:
    """A ledger of two epochs, some records let go, closed; what waits in it."""
    for start in range(2):
        ledger: Ledger = open_ledger()
        for n in range(reads // 2):
            ledger.commit([Accept(make_evidence(f"{start}-{n}", overview=n % 2 == 0))])
        ledger.commit([Settle(ledger.epoch, ((3, 9),), ())])
        waits = {(r.epoch, r.seq): r.sealed for r in forwarded(ledger)}
        ledger.close()
    return waits


def salvaged(ledger: Ledger) -> None:
    for _ in range(10_000):
        if not ledger.tend().more:
            return
    raise AssertionError("salvage never ended")


def destroy_first_page(file: Path) -> None:
    with file.open("r+b") as f:
        f.write(bytes(4096))


def zero_the_middle(file: Path) -> None:
    with file.open("r+b") as f:
        f.seek(file.stat().st_size // 2 // 4096 * 4096)
        f.write(bytes(16 * 4096))


def cut_in_half(file: Path) -> None:
    with file.open("r+b") as f:
        f.truncate(file.stat().st_size // 2)


def scatter(file: Path) -> None:
    chance, size = random.Random(7), file.stat().st_size
    with file.open("r+b") as f:
        for _ in range(6):
            f.seek(chance.randrange(2, size // 4096) * 4096)
            f.write(chance.randbytes(4096))


@pytest.mark.parametrize(
    ("ruin", "kept_share"), [(destroy_first_page, 1.0), (zero_the_middle, 0.5), (cut_in_half, 0.25), (scatter, 0.5)]
)
def test_what_the_bytes_still_hold_waits_again_under_its_old_numbers(
    open_ledger: Make, make_evidence: Make, state: Path, keys: Any, ruin: Callable[[Path], None], kept_share: float
) -> None:
    before = filled(open_ledger, make_evidence)
    ruin(state / FILE)
    ruined = (state / FILE).read_bytes()
    ledger: Ledger = open_ledger()
    (aside,) = soundness.kept(state)
    assert (aside / FILE).read_bytes() == ruined
    assert ledger.usage().unsalvaged == 1
    salvaged(ledger)
    after = {(r.epoch, r.seq): r.sealed for r in forwarded(ledger) if r.epoch != ledger.epoch}
    live = {key: sealed for key, sealed in after.items() if key in before}
    assert all(before[key] == sealed for key, sealed in live.items())
    print(f"{ruin.__name__}: {len(live)} of {len(before)} back, {len(after) - len(live)} that had been let go")
    assert len(live) >= kept_share * len(before)
    told = acts(ledger, keys, ledger.epoch)
    assert told["started"]["quarantined"]["name"] == soundness.name_of(aside)
    assert told["started"]["quarantined"]["bytes"] == len(ruined)
    assert told["salvaged"]["put_back"] == len(after)
    assert told["salvaged"]["quarantine"] == soundness.name_of(aside)
    assert ledger.usage().unsalvaged == 0
    assert ledger.usage().waiting == len(forwarded(ledger))
    # and a receipt lets them go as ever
    for epoch in {epoch for epoch, _ in after}:
        ledger.commit([Settle(epoch, ((1, 10_000),), ())])
    assert {r.epoch for r in forwarded(ledger)} == {ledger.epoch}


def test_a_start_counter_is_never_used_twice(open_ledger: Make, make_evidence: Make, state: Path, keys: Any) -> None:
    filled(open_ledger, make_evidence)
    zero_the_middle(state / FILE)
    ledger: Ledger = open_ledger()
    assert ledger.session == 3  # the table of epochs was still readable
    before = acts(ledger, keys, ledger.epoch)["started"]["before"]
    assert before["epoch"][:4] == (2).to_bytes(4, "big")
    ledger.close()
    destroy_first_page(state / FILE)
    ledger = open_ledger()
    assert ledger.session > 3
    salvaged(ledger)
    assert all(int.from_bytes(r.epoch[:4], "big") <= ledger.session for r in forwarded(ledger))


def test_file_and_log_are_set_aside_together_and_the_logs_records_return(
    open_ledger: Make, make_evidence: Make, state: Path, tmp_path: Path
) -> None:
    """As after a power cut: the newest records lie only in the log, and the file's first page is gone."""
    ledger: Ledger = open_ledger()
    ledger.commit([Accept(make_evidence(n)) for n in range(6)])
    before = {(r.epoch, r.seq): r.sealed for r in forwarded(ledger)}
    later = tmp_path / "later"
    later.mkdir()
    for name in (FILE, FILE + "-wal"):
        (later / name).write_bytes((state / name).read_bytes())
    log = (later / (FILE + "-wal")).read_bytes()
    (later / FILE).write_bytes(random.Random(1).randbytes(4096) + (later / FILE).read_bytes()[4096:])
    with (later / (FILE + "-wal")).open("r+b") as f:  # the log has page 1 as well: spoil what makes it a log
        f.write(bytes(8))
    spoiled = bytes(8) + log[8:]
    ledger = open_ledger(later)
    (aside,) = soundness.kept(later)
    assert (aside / (FILE + "-wal")).read_bytes() == spoiled
    salvaged(ledger)
    after = {(r.epoch, r.seq): r.sealed for r in forwarded(ledger) if r.epoch != ledger.epoch}
    assert after == before


def test_a_log_whose_file_is_gone_is_evidence(
    open_ledger: Make, make_evidence: Make, state: Path, tmp_path: Path
) -> None:
    ledger: Ledger = open_ledger()
    ledger.commit([Accept(make_evidence(n)) for n in range(3)])
    waits = {(r.epoch, r.seq) for r in forwarded(ledger)}
    for name, content in ((FILE, b""), (None, b"")):
        later = tmp_path / f"later-{name}"
        later.mkdir()
        (later / (FILE + "-wal")).write_bytes((state / (FILE + "-wal")).read_bytes())
        if name is not None:
            (later / name).write_bytes(content)
        again: Ledger = open_ledger(later)
        salvaged(again)
        assert {(r.epoch, r.seq) for r in forwarded(again)} >= waits


@pytest.mark.parametrize("cut_after", range(4))
def test_a_move_that_was_cut_short_is_finished(
    open_ledger: Make, make_evidence: Make, state: Path, cut_after: int
) -> None:
    filled(open_ledger, make_evidence, 10)
    (state / (FILE + "-wal")).write_bytes(b"log")
    (state / (FILE + "-shm")).write_bytes(b"index")
    destroy_first_page(state / FILE)
    moving = state / soundness.FOLDER / ("5-corrupt" + soundness.MOVING)
    moving.mkdir(parents=True)
    for name in (FILE, FILE + "-wal", FILE + "-shm")[:cut_after]:
        (state / name).rename(moving / name)
    open_ledger()
    (aside,) = soundness.kept(state)
    assert {each.name for each in aside.iterdir()} == {FILE, FILE + "-wal", FILE + "-shm"}
    assert not list((state / soundness.FOLDER).glob("*" + soundness.MOVING))


def test_a_fault_of_the_disk_sets_nothing_aside(open_ledger: Make, make_evidence: Make, state: Path) -> None:
    """EIO, a full disk, a file that cannot be opened: nothing is said of the file, and nothing moved."""
    filled(open_ledger, make_evidence, 6)
    content = (state / FILE).read_bytes()
    for method, result in (
        ("xRead", apsw.SQLITE_IOERR_READ),
        ("xOpen", apsw.SQLITE_CANTOPEN),
        ("xWrite", apsw.SQLITE_FULL),
        ("xSync", apsw.SQLITE_IOERR_FSYNC),
        ("xWrite", apsw.SQLITE_READONLY),
    ):
        vfs = FailingVfs(method, result)
        try:
            with pytest.raises(StorageFailed):
                open_ledger()
        finally:
            vfs.over()
        assert not (state / soundness.FOLDER).exists(), method
    assert (state / FILE).read_bytes()[:4096] == content[:4096]
    assert open_ledger().session == 3


class FailingVfs(apsw.VFS):
    """The default VFS of the process, whose files fail in one operation until `over`."""

    def __init__(self, method: str, result: int) -> None:
        self.method, self.result = method, result
        super().__init__("failing", "unix", makedefault=True)

    def over(self) -> None:
        self.unregister()

    def fail(self, method: str) -> None:
        if method == self.method:
            problem = apsw.exception_for(self.result)
            raise problem

    def xOpen(self, name: Any, flags: Any) -> Any:
        self.fail("xOpen")
        return FailingFile(self, name, flags)


class FailingFile(apsw.VFSFile):
    def __init__(self, vfs: FailingVfs, name: Any, flags: Any) -> None:
        self.vfs = vfs
        super().__init__("unix", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        self.vfs.fail("xRead")
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        self.vfs.fail("xWrite")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.vfs.fail("xSync")
        super().xSync(flags)


def test_a_handle_that_says_malformed_has_the_next_start_look_closely(
    open_ledger: Make, make_evidence: Make, state: Path
) -> None:
    """A page that is spoiled under a running ledger: it ends, and the next start finds what is wrong."""
    ledger: Ledger = open_ledger()
    ledger.commit([Accept(make_evidence(n)) for n in range(40)])
    ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ((root,),) = ledger._db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'records'").fetchall()
    ledger.close()
    ledger = open_ledger()
    with (state / FILE).open("r+b") as f:
        f.seek((int(root) - 1) * 4096)
        f.write(b"\xaa" * 4096)
    ledger._db.execute("PRAGMA cache_size = 0; PRAGMA shrink_memory")
    with pytest.raises(StorageFailed):
        ledger.waiting(Tier.FIRST, *ALL)
    assert (state / SUSPECT).exists()
    ledger._db.close()
    again: Ledger = open_ledger()
    assert len(soundness.kept(state)) == 1
    assert not (state / SUSPECT).exists()
    salvaged(again)
    assert len([r for r in forwarded(again) if r.epoch != again.epoch]) >= 81


def test_a_suspicion_that_was_unfounded_is_forgotten(open_ledger: Make, make_evidence: Make, state: Path) -> None:
    filled(open_ledger, make_evidence, 6)
    (state / SUSPECT).write_bytes(b"")
    assert open_ledger().session == 3
    assert not (state / SUSPECT).exists()
    assert soundness.kept(state) == []


def test_a_tail_that_was_never_written_is_a_ruined_ledger_and_one_bad_bit_is_not(
    open_ledger: Make, make_evidence: Make, state: Path
) -> None:
    filled(open_ledger, make_evidence, 20)
    with closing(sqlite3.connect(state / FILE)) as db, db:
        db.execute("UPDATE records SET data = zeroblob(size) WHERE row = (SELECT max(row) FROM records)")
    open_ledger().close()
    assert soundness.kept(state) == []
    with closing(sqlite3.connect(state / FILE)) as db, db:
        db.execute("UPDATE records SET data = zeroblob(size)")
    open_ledger()
    (aside,) = soundness.kept(state)
    assert aside.name.endswith("damaged_rows")


def test_of_three_the_oldest_that_was_salvaged_is_deleted_and_said(
    open_ledger: Make, make_evidence: Make, state: Path, keys: Any
) -> None:
    names = []
    for turn in range(4):
        ledger: Ledger = open_ledger()
        ledger.commit([Accept(make_evidence(f"{turn}"))])
        salvaged(ledger)
        ledger.tend()
        names.append(sorted(soundness.name_of(each) for each in soundness.kept(state)))
        ledger.close()
        destroy_first_page(state / FILE)
    assert [len(each) for each in names] == [0, 1, 2, 2]
    ledger = open_ledger()
    assert len(soundness.kept(state)) == 3  # the newest is not salvaged yet, and none is deleted before its act
    salvaged(ledger)
    ledger.tend()
    assert len(soundness.kept(state)) == 2
    erased = acts(ledger, keys, ledger.epoch)["quarantine_erased"]
    assert erased == {"quarantine": names[3][0], "reason": "salvaged"}


def test_what_nobody_salvaged_is_not_deleted_to_make_place(open_ledger: Make, make_evidence: Make, state: Path) -> None:
    for _ in range(4):
        open_ledger().close()
        destroy_first_page(state / FILE)
    ledger: Ledger = open_ledger()
    assert ledger.usage().unsalvaged == 4


def test_salvage_that_is_cut_short_begins_anew_and_ends_the_same(
    open_ledger: Make, make_evidence: Make, state: Path
) -> None:
    before = filled(open_ledger, make_evidence, 60)
    destroy_first_page(state / FILE)
    ledger: Ledger = open_ledger()
    assert ledger.tend().put_back > 0
    ledger.close()
    ledger = open_ledger()
    salvaged(ledger)
    after = {(r.epoch, r.seq) for r in forwarded(ledger)}
    assert after >= set(before)


def test_a_quarantine_past_the_lawful_age_goes_with_an_act(
    open_ledger: Make, make_evidence: Make, state: Path, keys: Any
) -> None:
    terms, moving_clock = Terms(max_age_ms=7 * DAY_MS), TurnedClock()
    open_ledger(clock=moving_clock.clock, terms=terms).close()
    destroy_first_page(state / FILE)
    ledger: Ledger = open_ledger(clock=moving_clock.clock, terms=terms)
    salvaged(ledger)
    ledger.tend()
    moving_clock.pass_ms(6 * DAY_MS)
    ledger.tend()
    assert ledger.usage().quarantined == 1
    moving_clock.pass_ms(2 * DAY_MS)
    ledger.tend()
    assert ledger.usage().quarantined == 0
    assert acts(ledger, keys, ledger.epoch)["quarantine_erased"]["reason"] == "age"


def test_a_read_only_state_moves_nothing(open_ledger: Make, make_evidence: Make, state: Path) -> None:
    """What the rename says is passed on as the disk's fault."""
    problem = soundness._moving_failed(OSError(errno.EROFS, "Read-only file system"))
    assert isinstance(problem, StorageFailed)
    assert "Read-only" in problem.sentence
