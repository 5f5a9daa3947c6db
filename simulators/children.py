"""Subprocesses with their output in files: started, waited for, and stopped in reverse order.

A child that ends before it should is an error that shows the end of its log; none is left running.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

STOP_LIMIT_S = 15.0
POLL_S = 0.05
TAIL_LINES = 15
ROOT = Path(__file__).resolve().parents[1]
Answer = TypeVar("Answer")


class SiteFailed(Exception):
    """A part of the site did not start, or ended too early, or did not get where it should in time."""


class Child:
    """One subprocess, `python -m ARGUMENTS`; standard output goes to NAME.out, standard error to NAME.log."""

    def __init__(self, name: str, arguments: list[str], logs: Path, *, may_end: bool = False) -> None:
        self.name = name
        self.out = logs / f"{name}.out"
        self.log = logs / f"{name}.log"
        self._may_end = may_end
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,  # a Ctrl-C is for the site, which stops its children in order
            )

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def check(self) -> None:
        """Raises `SiteFailed` if it ended and should not have, or ended badly."""
        code = self._process.poll()
        if code is None or (code == 0 and self._may_end):
            return
        tail = [*_lines(self.out)[-TAIL_LINES:], *_lines(self.log)[-TAIL_LINES:]]
        raise SiteFailed("\n".join([f"{self.name} ended with code {code}; the end of {self.log}:", *tail]))

    def last_json(self) -> dict[str, object] | None:
        """The last line of its standard output that is a JSON object, or None."""
        for line in reversed(_lines(self.out)):
            if line.startswith("{"):
                try:
                    found: object = json.loads(line)
                except ValueError:
                    continue  # half a line: the rest is on its way
                if isinstance(found, dict):
                    return found
        return None

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not help."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not stop in {STOP_LIMIT_S:.0f} s and was killed", file=sys.stderr)
                self._process.kill()
                self._process.wait()


class Children:
    """Those that were started, in order."""

    def __init__(self, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._all: list[Child] = []

    def start(self, name: str, arguments: list[str], *, may_end: bool = False) -> Child:
        child = Child(name, arguments, self._logs, may_end=may_end)
        self._all.append(child)
        return child

    def check(self) -> None:
        """Raises `SiteFailed` for the first that ended too early."""
        for child in self._all:
            child.check()

    def wait_for(self, what: str, ask: Callable[[], Answer | None], limit_s: float) -> Answer:
        """Ask until the answer is not None; raises `SiteFailed` at the limit or when a child ends."""
        deadline = time.monotonic() + limit_s
        while (answer := ask()) is None:
            self.check()
            if time.monotonic() > deadline:
                raise SiteFailed(f"{what} took more than {limit_s:.0f} s; logs are in {self._logs}")
            time.sleep(POLL_S)
        return answer

    def run(self, name: str, arguments: list[str], limit_s: float) -> None:
        """Run to its end. Raises `SiteFailed` unless that is good."""
        child = Child(name, arguments, self._logs, may_end=True)
        try:
            self.wait_for(name, lambda: True if child.ended else None, limit_s)
        finally:
            child.stop()
        child.check()

    def stop(self) -> None:
        while self._all:
            self._all.pop().stop()


@contextmanager
def children(logs: Path) -> Iterator[Children]:
    """Children that are stopped, the last first, however the block ends."""
    them = Children(logs)
    try:
        yield them
    finally:
        them.stop()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
