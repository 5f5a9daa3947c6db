"""`python -m tests.proofs block [--work ledger|node] [--cuts N] [--control NAME]`: the power goes under a real ext4.

The work runs once on a recorded disk (`fuse_disk`, `ext4`), each answer with the disk's moment. Then every cut is
replayed: the flushed writes and any part of the rest, mounted, so that ext4 recovers, opened by the real code and held
against what was answered by then. `ledger`: births, commits, receipts, crashes and quarantined deliveries, in this
process. `node`: `anpr-edge run` with its configuration, its state and its status on that disk, and two cameras.
"""

from __future__ import annotations

import argparse
import errno
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from edge.errors import EdgeError
from edge.schema import FILE
from tests.proofs import block_ledger, block_node
from tests.proofs.block_ledger import Moment, Recording
from tests.proofs.ext4 import NotMounted, Replay, missing, mounted, recorded, repair, sound
from tests.proofs.figures import say, told
from tests.proofs.pieces import open_ledger, workplace
from tests.proofs.promises import Found, Promises, look_into

CONTROLS = {"none": "", "nobarrier": "nobarrier", "synchronous-normal": "", "commit-60": "commit=60"}
"""How the disk is mounted for each; the last is no weakness, and must lose nothing."""
LOSING = ("nobarrier", "synchronous-normal")
START_EVERY = 20
"""Of the cuts under the whole node, after which the service itself is started on the remains."""


@dataclass(slots=True)
class Tally:
    """What the cuts did."""

    cuts: int = 0
    bad: int = 0
    lost: int = 0
    before_birth: int = 0
    starts: int = 0
    unsound: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    besides: Counter[str] = field(default_factory=Counter)
    """What was wrong with files that are no ledger, in how many cuts."""


def replayed(recording: Recording, cuts: int, seed: int, folder: Path, what: str) -> Tally:
    """Every cut, at moments drawn from the whole log."""
    chance, tally = Random(f"{seed} cuts"), Tally()
    moments = sorted(chance.randint(0, len(recording.log)) for _ in range(cuts))
    replay = Replay(recording.fresh, recording.log)
    for moment in told(moments, cuts, what):
        image = folder / "remains"
        image.write_bytes(replay.remains(moment, chance))
        found = _mounted(image, folder / "mnt", recording.at(moment), recording)
        tally.cuts += 1
        if recording.start is not None and tally.cuts % START_EVERY == 0 and recording.at(moment).kept:
            _started(image, folder / "mnt", recording.start, found)
            tally.starts += 1
        tally.bad += bool(found.problems)
        tally.lost += len(found.lost)
        tally.problems.update(set(found.problems))
        if found.problems and tally.bad <= 3:
            print(f"at {moment} of {len(recording.log)}: {found.problems}", file=sys.stderr)
        tally.besides.update(set(found.besides))
        tally.before_birth += not recording.at(moment).promises.ends
        tally.unsound += not sound(image)
    return tally


def _mounted(image: Path, where: Path, moment: Moment, recording: Recording) -> Found:
    try:
        return _once_mounted(image, where, moment, recording)
    except NotMounted:
        repair(image)
        found = _once_mounted(image, where, moment, recording)
        found.must(False, "does not mount without e2fsck")
        return found


def _started(image: Path, where: Path, start: Callable[[], None], found: Found) -> None:
    with mounted(image, where):
        try:
            start()
        except AssertionError as problem:
            found.must(False, f"the service does not start: {str(problem)[-200:]}")


def _once_mounted(image: Path, where: Path, moment: Moment, recording: Recording) -> Found:
    with mounted(image, where):
        try:
            found = _looked_at(where / recording.state, moment.promises, recording.node)
            recording.others(where, moment, found)
        except OSError as problem:  # ext4 found the folders themselves damaged
            unread = f"the disk cannot be read: {errno.errorcode[problem.errno or 0]}"
            return Found([unread], set(moment.promises.records))
    return found


def _looked_at(state: Path, promises: Promises, node: str) -> Found:
    """The ledger of the remains, by the real code; before its birth was answered anything but a failure will do."""
    if not promises.ends and not (state / FILE).exists():
        return Found()
    try:
        ledger = open_ledger(state, Random(0), node=node)
    except EdgeError as problem:
        return Found([f"does not open: {type(problem).__name__}"], set(promises.records))
    try:
        return look_into(state, promises, ledger.session)
    finally:
        ledger.close()


def prove(work: str, seed: int, cuts: int, control: str) -> tuple[Recording, Tally]:
    record: Callable[..., Recording] = {"ledger": block_ledger.record, "node": block_node.record}[work]
    with workplace() as folder:
        with recorded(folder, CONTROLS[control]) as disk:
            recording = record(folder / "mnt", disk, seed, control)
        recording = recording.ended((folder / "fresh").read_bytes(), disk.log())
        return recording, replayed(recording, cuts, seed, folder, f"{work} {control}")


def main(argv: list[str]) -> int:
    """0 where nothing answered was lost; for a losing control, where something was; 77 where it cannot run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs block")
    parser.add_argument("--work", choices=("ledger", "node"), default="ledger")
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20_260_101)
    parser.add_argument("--control", choices=list(CONTROLS), default="none")
    given = parser.parse_args(argv)
    if lacking := missing():
        print(f"NOT RUN: the block recorder {lacking}", file=sys.stderr)
        return 77
    began = time.monotonic()
    recording, tally = prove(given.work, given.seed, given.cuts, given.control)
    figures = {
        "proof": "block",
        "work": given.work,
        "control": given.control,
        "seed": given.seed,
        "cuts": tally.cuts,
        "bad_cuts": tally.bad,
        "lost_records": tally.lost,
        "answered_records": len(recording.last.records) + len(recording.last.gone),
        "sessions": len(recording.last.ends),
        "writes": sum(block.data is not None for block in recording.log),
        "flushes": sum(block.data is None for block in recording.log),
        "cuts_before_birth": tally.before_birth,
        "whole_services_started": tally.starts,
        "fsck_found_something": tally.unsound,
        "problems": dict(tally.problems),
        "other_files": dict(tally.besides),
    }
    say(figures, began)
    if given.control in LOSING:
        return int(tally.bad == 0)
    return int(tally.bad > 0 or tally.besides.total() > 0)
