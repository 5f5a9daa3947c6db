"""A ledger that is no database: every report says so, and none says that the program is at fault."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from edge import checks
from edge.check import Check, Level, ask_all
from edge.errors import StorageFailed
from edge.schema import FILE, reader


def test_a_ruined_ledger_is_bad_and_not_a_failed_check(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(bytes(8192))
    (answer,) = asyncio.run(ask_all([Check("ledger", partial(checks.ledger, tmp_path))]))
    assert answer.finding.level is Level.BAD
    assert "cannot be read" in answer.finding.sentence
    assert "never delete" in answer.finding.hint


def test_a_reader_gives_its_own_error_and_no_librarys(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database at all" * 100)
    with pytest.raises(StorageFailed), reader(tmp_path) as db:
        list(db.query("SELECT * FROM totals"))
