"""Records found in raw bytes: wherever a page ends, whatever is broken, and nothing that is not a record."""

from __future__ import annotations

import random
from pathlib import Path

import apsw
import pytest

from edge import leaving, row
from edge.read import Kind
from edge.salvage import Found, Scan, newest_session
from edge.schema import FILE, open_writer
from edge.sign import encode

EPOCH = (7).to_bytes(4, "big") + b"abcdefgh"


def sealed(seq: int, size: int, node: str = "node-a") -> bytes:
    """Something of a sealed record's form, its content random."""
    content = random.Random(seq).randbytes(size)
    return encode({"v": 1, "kid": bytes(8), "node": node, "epoch": EPOCH, "seq": seq, "kind": "read", "ct": content})


def write(folder: Path, sizes: list[int]) -> dict[int, bytes]:
    """A ledger's file with records of these sizes, closed; each record's row data by number."""
    db = open_writer(folder, 64_000_000)
    written = {}
    db.execute("BEGIN")
    for seq, size in enumerate(sizes, 1):
        written[seq] = row.wrap(EPOCH, seq, sealed(seq, size))
        hashes = (bytes([1]) * 32, bytes([2]) * 32)
        leaving.enter(db, 7 << 40 | seq, Kind.READ, 1_767_225_600_000 + seq, hashes, written[seq])
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return written


def found_in(folder: Path) -> tuple[list[Found], int]:
    scan = Scan(folder)
    found = [each for each in scan if each is not None]
    scan.close()
    return found, scan.damaged


def test_every_size_is_found_wherever_its_pages_end(tmp_path: Path) -> None:
    """Every remainder of an overflow page, which is where the file format's two rules for the split meet."""
    sizes = [*range(3800, 8400, 13), *range(24_000, 29_000, 97), 200, 65_000]
    written = write(tmp_path, sizes)
    with (tmp_path / FILE).open("r+b") as f:
        f.write(bytes(4096))
    found, damaged = found_in(tmp_path)
    assert {each.seq: each.data for each in found} == written
    assert damaged == 0
    assert {(each.epoch, each.kind, each.node) for each in found} == {(EPOCH, Kind.READ, "node-a")}
    assert all(each.received_ms == 1_767_225_600_000 + each.seq for each in found)
    assert {(each.digest, each.head) for each in found} == {(bytes([1]) * 32, bytes([2]) * 32)}


def test_what_was_let_go_is_not_found_while_the_first_page_says_so(tmp_path: Path) -> None:
    written = write(tmp_path, [4000, 25_000, 900] * 40)
    db = apsw.Connection(str(tmp_path / FILE))
    for first in range(10, 110, 20):
        leaving.let_go(db, 7 << 40 | first, 7 << 40 | first + 9)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    gone = {seq for first in range(10, 110, 20) for seq in range(first, first + 10)}
    found, _ = found_in(tmp_path)
    assert {each.seq for each in found} == written.keys() - gone


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_costs_what_it_hit_and_invents_nothing(tmp_path: Path, seed: int) -> None:
    written, chance = write(tmp_path, [4000, 25_000, 900] * 30), random.Random(seed)
    content = bytearray((tmp_path / FILE).read_bytes())
    for _ in range(chance.randint(1, 40)):
        at = chance.randrange(len(content))
        match chance.randrange(3):
            case 0:
                content[at] ^= 1 << chance.randrange(8)
            case 1:
                content[at : at + 512] = chance.randbytes(512)
            case 2:
                del content[at // 4096 * 4096 :][:4096]
    (tmp_path / FILE).write_bytes(content)
    found, _ = found_in(tmp_path)
    assert len(found) > 20
    for each in found:
        assert written[each.seq] == each.data


def test_the_newest_session_is_seen_and_a_hurry_ends(tmp_path: Path) -> None:
    write(tmp_path, [900] * 50)
    assert newest_session(tmp_path, lambda: 0.0, 1.0) == 7
    ticks = iter(range(10**6))
    assert newest_session(tmp_path, lambda: float(next(ticks)), 0.5) in (0, 7)


def test_nothing_is_found_in_nothing(tmp_path: Path) -> None:
    assert found_in(tmp_path) == ([], 0)
    (tmp_path / FILE).write_bytes(b"")
    assert found_in(tmp_path) == ([], 0)
    (tmp_path / FILE).write_bytes(row.MAGIC * 5000)
    (tmp_path / (FILE + "-wal")).write_bytes(row.MAGIC * 5000)
    assert found_in(tmp_path)[0] == []


def test_a_large_file_is_walked_page_by_page(tmp_path: Path) -> None:
    """A file full of holes: time by pages, memory by one."""
    write(tmp_path, [900] * 5)
    with (tmp_path / FILE).open("r+b") as f:
        f.truncate(100_000_000)
    assert {each.seq for each in found_in(tmp_path)[0]} == {1, 2, 3, 4, 5}
