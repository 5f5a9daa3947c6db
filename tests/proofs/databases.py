"""`python -m tests.proofs databases`: published corrupted SQLite files, each in the place of the ledger's.

Each is opened by the real code in a child process, which stores a read and asks for what waits. What may not happen:
an exception that is no `EdgeError`, a crash, or more than five seconds. The files are in `../shared/vectors`.
"""

from __future__ import annotations

import argparse
import contextlib
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

from edge.changes import Accept, Tier
from edge.claim import Outcome
from edge.errors import EdgeError
from edge.schema import FILE
from tests.proofs.figures import say, told
from tests.proofs.pieces import evidence, open_ledger, workplace

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "vectors" / "sqlite-corrupt"
LIMIT_S = 5.0
RUNNING, CRASH, HANG = "a running ledger", "CRASH", "HANG"
_READY = "ready"


def files() -> list[Path]:
    """The published files, none where they are absent."""
    return sorted(f for f in FOLDER.glob("*") if f.suffix in (".db", "")) if FOLDER.is_dir() else []


class Child:
    """One process for many files; another in its place where one of them ends it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.proofs", "databases", "--child"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._line(60)

    def came_to(self, state: Path) -> str:
        """Within `LIMIT_S`, for one state folder."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{state}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return CRASH
        return self._line(LIMIT_S)

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def _line(self, limit_s: float) -> str:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], limit_s)[0]:
            return HANG
        return self._process.stdout.readline().strip() or CRASH

    def end(self) -> None:
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


def run(content: Sequence[bytes], folder: Path) -> Iterator[str]:
    """What each file came to: `RUNNING`, the name of an `EdgeError`, or what may not be."""
    child = Child()
    try:
        for n, each in enumerate(content):
            state = folder / str(n)
            state.mkdir()
            (state / FILE).write_bytes(each)
            said = child.came_to(state)
            if said in (CRASH, HANG):
                child.end()
                child = Child()
            yield said
    finally:
        child.end()


def _child() -> int:
    print(_READY, flush=True)
    for line in sys.stdin:
        print(_tried(Path(line.strip())), flush=True)
    return 0


def _tried(state: Path) -> str:
    try:
        ledger = open_ledger(state, Random(0))
        try:
            stored = ledger.commit([Accept(evidence(Random(1), "after"))])
            waiting = [record for tier in Tier for record in ledger.waiting(tier, 0, 2**62, 1000)]
            ledger.usage()
        finally:
            ledger.close()
    except EdgeError as problem:
        return type(problem).__name__
    except Exception as problem:  # noqa: BLE001  this is what the proof is about
        return f"{CRASH} {type(problem).__name__}: {problem}".splitlines()[0]
    return RUNNING if stored == [Outcome.STORED] and waiting else f"{CRASH} it runs, and stores nothing"


def prove(content: Sequence[bytes], steps: Callable[[Iterator[str]], Iterator[str]]) -> Counter[str]:
    """How many files came to what."""
    with workplace() as folder:
        return Counter(steps(run(content, folder)))


def bad(came: Counter[str]) -> int:
    return sum(count for word, count in came.items() if word.startswith((CRASH, HANG)))


def main(argv: list[str]) -> int:
    """0 where none crashed and none hung; 77 where the files are absent."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs databases")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args(argv).child:
        return _child()
    began, found = time.monotonic(), files()
    if not found:
        print(f"NOT RUN: no corrupted databases: {FOLDER} is absent", file=sys.stderr)
        return 77
    came = prove([file.read_bytes() for file in found], lambda s: told(s, len(found), "databases"))
    say({"proof": "databases", "files": len(found), "bad": bad(came), "came_to": dict(came)}, began)
    return int(bad(came) > 0)
