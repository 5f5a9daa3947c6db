"""Power cuts at any write or sync of SQLite's: nothing answered is lost; and the proof that this would be seen."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from tests.proofs.disk import Disk, Inode, PowerCut, Written
from tests.proofs.power import CONTROLS, KEEPING, Tally, prove

SEED, CUTS, CONTROL_CUTS = 20_260_101, 500, 300


def plainly(steps: Iterator[Tally]) -> Iterator[Tally]:
    return steps


def test_nothing_answered_is_lost_in_500_cuts() -> None:
    tally = prove(SEED, CUTS, CONTROLS["none"], plainly)
    print(tally)
    assert (tally.cuts, tally.bad, tally.lost) == (CUTS, 0, 0), tally.problems
    assert tally.answered > CUTS
    assert tally.in_an_opening > 50
    assert tally.unanswered_kept > 0, "no cut fell between a commit and its answer"


def test_a_failed_page_stays_as_it_was_until_it_is_written_again() -> None:
    """As Linux has it: the sync says so once, and the next one says that all is well."""
    inode, reached = Inode(b"o" * 4096), set()
    for seed in range(20):
        inode.durable[:] = b"o" * 4096
        inode.pending.append(Written(0, b"n" * 4096))
        inode.sync_fails(Random(seed))
        inode.sync()
        reached.add(inode.found(Random(seed), 512, 1.0))
    inode.pending.append(Written(100, b"x"))
    inode.sync()
    assert reached == {b"o" * 4096, b"n" * 4096}
    assert inode.found(Random(1), 512, 0.0) == b"n" * 100 + b"x" + b"n" * 3995


@pytest.mark.parametrize("control", sorted(CONTROLS.keys() - set(KEEPING)))
def test_each_control_is_seen_to_lose(control: str) -> None:
    tally = prove(SEED, CONTROL_CUTS, CONTROLS[control], plainly)
    print(tally)
    assert tally.bad >= 3
    assert tally.lost > 0


# the model itself


def outcomes(make: Inode, sector: int = 512) -> set[bytes]:
    return {make.found(Random(seed), sector, 0.5) for seed in range(300)}


def test_what_was_synced_is_all_that_is_found() -> None:
    inode = Inode(b"old" * 500)
    inode.pending += [Written(0, b"n" * 1000), Written(1200, None)]
    inode.sync()
    assert outcomes(inode) == {b"n" * 1000 + (b"old" * 500)[1000:1200]}


def test_what_was_not_synced_is_found_by_sectors_in_any_combination() -> None:
    inode = Inode(b"o" * 1024)
    inode.pending.append(Written(0, b"n" * 1024))
    assert outcomes(inode) == {a * 512 + b * 512 for a in (b"o", b"n") for b in (b"o", b"n")}
    assert outcomes(inode, 4096) == {b"o" * 1024, b"n" * 1024}


def test_a_length_may_be_found_without_its_bytes_and_bytes_without_their_length() -> None:
    inode = Inode(b"")
    inode.pending.append(Written(0, b"n" * 512))
    found = outcomes(inode)
    assert {b"", b"n" * 512, bytes(512)} <= found
    assert any(each not in (b"", b"n" * 512, bytes(512)) for each in found), "never what lay there before"


def test_a_name_is_durable_once_its_folder_was_synced(tmp_path_factory: pytest.TempPathFactory) -> None:
    def found(*, synced: bool) -> set[bool]:
        seen = set()
        for seed in range(40):
            disk, folder = Disk(Random(seed)), tmp_path_factory.mktemp("remains")
            disk.create("log")
            disk.sync("log", folder_too=synced)
            disk.found(folder)
            seen.add((folder / "log").exists())
        return seen

    assert found(synced=True) == {True}
    assert found(synced=False) == {True, False}


def test_after_the_cut_nothing_more_is_taken() -> None:
    disk = Disk(Random(3), cut_at=2)
    disk.create("log")
    with pytest.raises(PowerCut):
        disk.write("log", 0, b"first")
    disk.write("log", 0, b"later")
    disk.sync("log", folder_too=True)
    assert (disk.dark, disk.operations) == (True, 2)
