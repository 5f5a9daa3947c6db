"""A process that is killed while it stores: what it said was stored is there, numbered without a gap."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge import row
from edge.changes import Accept
from edge.claim import Outcome
from edge.ledger import Ledger
from edge.record import NO_HEAD
from edge.schema import FILE

ROOT = Path(__file__).resolve().parents[2]
STREAM = ROOT / "tests/fixtures/stream_into_ledger.py"
ROUNDS, PIECES = 10, 400
_SEQ = (1 << 40) - 1


def stream_until_killed(state: Path, evidence_file: Path, seed: int, keys: Any, after_lines: int) -> list[int]:
    """Run the stream, kill it with SIGKILL after it has said this many lines; the pieces it said were stored."""
    public = keys.seal.public_key().public_bytes_raw().hex()
    command = [sys.executable, str(STREAM), str(state), str(evidence_file), "node-a", bytes(range(32)).hex(), public]
    with subprocess.Popen(
        [*command, str(seed)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after_lines)]
        process.kill()
        lines += process.stdout.read().splitlines()
    assert process.returncode == -9, "it ended before it was killed"
    assert lines[0] == "open\n"
    # The last line may have been cut; a line with its outcome whole was written after its commit.
    said = [line.split() for line in lines[1:]]
    return [int(words[0]) for words in said if words[1:] == [Outcome.STORED.value]]


def stored(state: Path, keys: Any) -> set[str]:
    """The passages in the file, its numbers and its chain checked on the way."""
    db, found, head = apsw.Connection(str(state / FILE), flags=apsw.SQLITE_OPEN_READONLY), set(), NO_HEAD
    epochs = db.execute("SELECT session, epoch, seq, head FROM epochs ORDER BY session").fetchall()
    assert [session for session, *_ in epochs] == list(range(1, len(epochs) + 1))
    for session, epoch, end_seq, end_head in epochs:
        rows = db.execute("SELECT row, head, data FROM records WHERE row >> 40 = ? ORDER BY row", (session,)).fetchall()
        assert [at & _SEQ for at, *_ in rows] == list(range(1, end_seq + 1))
        for at, stored_head, data in rows:
            _, inner = keys.unseal(row.unwrap(epoch, at & _SEQ, data))
            assert inner["prev"] == head
            head = stored_head
            if inner["kind"] == "read":
                found.add(inner["body"]["vendor_id"])
        assert head == end_head
    assert db.execute("SELECT count(*) FROM records").get == db.execute("SELECT waiting FROM totals").get > 0
    db.close()
    return found


def test_what_was_said_to_be_stored_is_there_after_each_of_ten_kills(
    tmp_path: Path, keys: Any, make_evidence: Callable[..., Any], open_ledger: Callable[..., Ledger]
) -> None:
    state, chance, said = tmp_path / "state", random.Random(20_260_101), set[str]()
    for turn in range(ROUNDS):
        pieces = [make_evidence(f"{turn}-{n}", overview=n % 3 == 0) for n in range(PIECES)]
        evidence_file = tmp_path / "evidence.pickle"
        evidence_file.write_bytes(pickle.dumps(pieces))
        told = stream_until_killed(state, evidence_file, turn, keys, chance.randint(1, 60))
        said |= {f"passage-{turn}-{n}" for n in told}
        ledger = open_ledger(state)
        for n in told[-3:]:
            assert ledger.commit([Accept(pieces[n])]) == [Outcome.REPEATED]
        ledger.close()
        assert said <= stored(state, keys)
    print(f"{ROUNDS} kills, {len(said)} said to be stored, {len(stored(state, keys))} there")
    assert len(said) >= 100


@pytest.mark.parametrize("seed", range(3))
def test_killed_while_it_opens_it_opens_again(
    tmp_path: Path, keys: Any, make_evidence: Callable[..., Any], seed: int
) -> None:
    """Killed as soon as the file is there: mid-migration, or before its first record."""
    state, evidence_file = tmp_path / "state", tmp_path / "evidence.pickle"
    evidence_file.write_bytes(pickle.dumps([make_evidence(f"{seed}-{n}") for n in range(PIECES)]))
    public = keys.seal.public_key().public_bytes_raw().hex()
    command = [sys.executable, str(STREAM), str(state), str(evidence_file), "node-a", bytes(range(32)).hex(), public]
    with subprocess.Popen(
        [*command, str(seed)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    ) as process:
        spins = 0
        while not (state / FILE).exists() or spins < seed * 3_000:
            spins += (state / FILE).exists()
            assert process.poll() is None
        process.kill()
    told = stream_until_killed(state, evidence_file, seed, keys, 5)
    assert {f"passage-{seed}-{n}" for n in told} <= stored(state, keys)
