"""Published corrupted databases in the ledger's place: a ledger or an `EdgeError`, never a crash or a hang."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proofs import databases
from tests.proofs.databases import CRASH, HANG, RUNNING, bad, files, prove


def plainly(steps: Iterator[str]) -> Iterator[str]:
    return steps


@pytest.mark.skipif(not files(), reason="no corrupted databases: shared/vectors/sqlite-corrupt is absent")
def test_three_hundred_corrupted_databases() -> None:
    content = [file.read_bytes() for file in files()]
    came = prove(content, plainly)
    print(dict(came))
    assert came.total() == len(content) >= 300
    assert bad(came) == 0, came
    assert came.keys() <= {RUNNING, "StorageFailed", "Misconfigured"}, came


def test_an_empty_file_becomes_a_running_ledger() -> None:
    assert prove([b""], plainly) == {RUNNING: 1}


@pytest.mark.parametrize(("end", "seen"), [(signal.SIGSTOP, HANG), (signal.SIGKILL, CRASH)])
def test_a_child_that_hangs_or_dies_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: signal.Signals, seen: str
) -> None:
    """The control."""
    monkeypatch.setattr(databases, "LIMIT_S", 1.0)
    child = databases.Child()
    try:
        child.send_signal(end)
        assert child.came_to(tmp_path) == seen
    finally:
        child.end()
