"""Room held back: given up on a full disk, made anew when there is room; on a real small file system where one can be
mounted."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.ballast import FILE, Ballast, free_bytes
from edge.changes import Accept, Enter, Settle, Tier
from edge.claim import Outcome
from edge.errors import EdgeError, Unavailable
from edge.ledger import Ledger

Make = Callable[..., Any]
MB = 1_000_000


def test_it_is_held_let_go_and_made_anew(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, 3 * MB)
    assert ballast.gone
    assert ballast.make()
    found = (tmp_path / FILE).stat()
    assert (found.st_size, stat.S_IMODE(found.st_mode)) == (3 * MB, 0o600)
    assert found.st_blocks * 512 >= 3 * MB  # held, not only promised
    assert not ballast.gone
    assert ballast.make()
    assert not ballast.release_if_full()
    assert ballast.release()
    assert ballast.gone
    assert not ballast.release()


def test_none_is_none(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, 0)
    assert not ballast.gone
    assert not ballast.make()
    assert not ballast.release_if_full()
    assert list(tmp_path.iterdir()) == []


def test_it_is_not_made_where_it_would_fill_the_disk(tmp_path: Path) -> None:
    assert not Ballast(tmp_path, free_bytes(tmp_path)).make()
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_at_its_own_bound_keeps_it(open_ledger: Make, make_evidence: Make, tmp_path: Path) -> None:
    ledger: Ledger = open_ledger(max_bytes=600_000, ballast_bytes=MB)
    act = Enter("refused", {"counts": {f"cam-{n}": {"vrm_too_long": n} for n in range(1000)}})
    while not isinstance(ledger.commit([act])[0], EdgeError):
        pass
    assert (tmp_path / "state" / FILE).exists()
    assert not ledger.usage().ballast_gone


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB; the test is skipped, and says so, where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(file: Path) -> None:
    """All that is left of the disk, to the last block."""
    with file.open("ab", buffering=0) as out:
        for size in (65_536, 4096):
            try:
                while True:
                    out.write(bytes(size))
            except OSError:
                continue


def test_a_full_disk_does_not_wedge_the_queue(open_ledger: Make, make_evidence: Make, small_disk: Path) -> None:
    """Somebody else fills the disk: reads hear "later", acts and deletions go through; then all is well again."""
    state, junk = small_disk / "state", small_disk / "junk"
    ledger: Ledger = open_ledger(state, max_bytes=64 * MB, ballast_bytes=5 * MB)
    stored = 0
    for n in range(60):
        assert ledger.commit([Accept(make_evidence(n))]) == [Outcome.STORED]
        stored += 1
    fill_up(junk)
    for n in range(1000, 1400):
        (result,) = ledger.commit([Accept(make_evidence(n))])
        if isinstance(result, Unavailable):
            break
        stored += 1
    assert isinstance(result, Unavailable)
    assert ledger.usage().ballast_gone
    assert isinstance(ledger.commit([Enter("refused", {"counts": {}})])[0], int)
    let_go = 0
    for first in range(1, 200, 10):
        (count,) = ledger.commit([Settle(ledger.epoch, ((first, first + 9),), ())])
        assert isinstance(count, int)
        let_go += count
    assert let_go > 100
    ledger.tend()
    assert ledger.usage().ballast_gone  # still full
    junk.unlink()
    ledger.tend()
    assert not ledger.usage().ballast_gone
    assert ledger.commit([Accept(make_evidence("after"))]) == [Outcome.STORED]
    assert ledger.usage().waiting == len(ledger.waiting(Tier.FIRST, 0, 2**62, 10_000)) + len(
        ledger.waiting(Tier.OVERVIEW, 0, 2**62, 10_000)
    )


def test_a_node_starts_on_a_full_disk(open_ledger: Make, make_evidence: Make, small_disk: Path) -> None:
    state, junk = small_disk / "state", small_disk / "junk"
    ledger: Ledger = open_ledger(state, ballast_bytes=5 * MB)
    ledger.commit([Accept(make_evidence(n)) for n in range(12)])
    ledger.close()
    fill_up(junk)
    assert os.statvfs(state).f_bavail == 0
    ledger = open_ledger(state, ballast_bytes=5 * MB)
    assert ledger.session == 2
    (result,) = ledger.commit([Accept(make_evidence("late"))])
    assert isinstance(result, Unavailable)
    assert ledger.commit([Settle((1).to_bytes(4, "big") + ledger.epoch[4:], ((1, 9),), ())]) == [0]
    first = ledger.waiting(Tier.FIRST, 0, 2**62, 1)[0]
    assert ledger.commit([Settle(first.epoch, ((1, 20),), ())]) == [20]


def test_without_ballast_a_full_disk_wedges_it(open_ledger: Make, make_evidence: Make, small_disk: Path) -> None:
    """The control: this is what the ballast is for."""
    state = small_disk / "state"
    ledger: Ledger = open_ledger(state)
    for n in range(60):
        ledger.commit([Accept(make_evidence(n))])
    ledger.close()
    fill_up(small_disk / "junk")
    with pytest.raises(EdgeError):
        open_ledger(state).commit([Settle(ledger.epoch, ((1, 100),), ())])
