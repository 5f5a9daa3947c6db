"""How many instructions fit takes beside the floor: what other work on the machine does not move, as it moves times.

Counted in children under `perf stat` or, where that may not count, under callgrind. A child does its act one round and
again several rounds; the difference is the act alone, without start, imports and warm-up. Counts leave out what memory
costs and how wide a core is: they are no times.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

from compress.fit import fit
from edge.claim import Role
from tests.benchmarks.pictures import CAPS, FORMATS, Picture, timing_set

REPOSITORY = Path(__file__).resolve().parents[2]
_LIMIT_S = 1_800.0


class Counter(Enum):
    PERF = "perf"
    CALLGRIND = "callgrind"


class Act(Enum):
    """The floor in its four ways: the decoder (Pillow or simplejpeg) and how a resize is made, where there is one."""

    FIT = "fit"
    PILLOW_AREA = "pillow-area"
    PILLOW_CUBIC = "pillow-cubic"
    SIMPLEJPEG_AREA = "simplejpeg-area"
    SIMPLEJPEG_CUBIC = "simplejpeg-cubic"


@dataclass(frozen=True, slots=True)
class Pace:
    """How many pictures of a format, and the rounds of the longer child; the shorter does one."""

    pictures: int
    rounds: int
    acts: tuple[Act, ...]


_PACES = {
    Counter.PERF: Pace(15, 5, tuple(Act)),
    # A child takes some fifty times as long: Pillow's decode, which never was the least, is left out.
    Counter.CALLGRIND: Pace(5, 2, (Act.FIT, Act.SIMPLEJPEG_AREA, Act.SIMPLEJPEG_CUBIC)),
}


def instruction_lines(wanted: Counter | None = None) -> Iterator[str]:
    """The table, by the counter named or the first that counts here; one loud line where none does."""
    counter = next((one for one in ([wanted] if wanted else Counter) if counts(one)), None)
    yield from ("### Instructions of fit beside the floor", "")
    if counter is None:
        yield "SKIPPED: neither `perf stat -e instructions:u` nor `valgrind` counts on this machine."
        return
    pace = _PACES[counter]
    yield (
        f"By {counter.value}, millions a picture in user mode, mean of {pace.pictures} pictures a size. "
        f"The floor is the least of {', '.join(act.value for act in pace.acts if act is not Act.FIT)}."
    )
    yield from ("", "| | fit | floor | times | the least floor |", "| --- " * 5 + "|")
    for format in FORMATS:
        counted = {act: per_picture(counter, act, format.label, pace) for act in pace.acts}
        ours = counted.pop(Act.FIT)
        least = min(counted, key=lambda act: counted[act])
        floor = counted[least]
        yield f"| {format.label} | {ours / 1e6:.1f} | {floor / 1e6:.1f} | {ours / floor:.2f} | {least.value} |"


def counts(counter: Counter) -> bool:
    """Whether this counter is installed and gives a number."""
    tool = "perf" if counter is Counter.PERF else "valgrind"
    if shutil.which(tool) is None:
        return False
    try:
        return counted(counter, ["/bin/true"]) > 0
    except (RuntimeError, OSError):
        return False


def per_picture(counter: Counter, act: Act, label: str, pace: Pace) -> float:
    """Instructions of one act on one picture, the mean over the format's pictures."""
    pictures = len(_pictures(label, pace.pictures))
    once, often = (
        counted(counter, [sys.executable, "-m", __spec__.name, act.value, label, str(pace.pictures), str(rounds)])
        for rounds in (1, pace.rounds)
    )
    return (often - once) / ((pace.rounds - 1) * pictures)


def counted(counter: Counter, command: Sequence[str]) -> int:
    """Instructions that this command takes. Raises RuntimeError where it fails or nothing was counted."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "counted"
        before = {
            Counter.PERF: ["perf", "stat", "-x", ",", "-e", "instructions:u", "-o", str(out), "--"],
            Counter.CALLGRIND: ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--"],
        }[counter]
        # One thread and one seed: else the count is another in each child.
        env = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(
            [*before, *command], cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=_LIMIT_S
        )
        if done.returncode != 0 or not out.exists():
            raise RuntimeError(f"{counter.value} failed with {done.returncode}")
        return number_in(counter, out.read_text(encoding="utf-8", errors="replace"))


def number_in(counter: Counter, text: str) -> int:
    """The count in what the tool wrote: perf's comma-separated line, or callgrind's totals. Raises RuntimeError where
    there is none, as where perf says "<not supported>"."""
    pattern = r"^(\d+),[^,]*,instructions" if counter is Counter.PERF else r"^(?:summary|totals): (\d+)"
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{counter.value} counted nothing")
    return int(found.group(1))


def _pictures(label: str, count: int) -> tuple[Picture, ...]:
    return timing_set(next(format for format in FORMATS if format.label == label), count)


def _act(act: Act, picture: Picture) -> Callable[[], object]:
    if act is Act.FIT:
        return lambda: fit(picture.jpeg, Role.OVERVIEW, CAPS)
    from tests.benchmarks.floor import steps  # only the child needs what the floor is measured with

    decoder, resize = act.value.split("-")
    result = fit(picture.jpeg, Role.OVERVIEW, CAPS).jpeg
    return steps(picture, result, decoder == "pillow", cv2.INTER_AREA if resize == "area" else cv2.INTER_CUBIC)


def _child() -> None:
    act, label, count, rounds = sys.argv[1:]
    acts = [_act(Act(act), picture) for picture in _pictures(label, int(count))]
    for _ in range(int(rounds)):
        for one in acts:
            one()


if __name__ == "__main__":
    _child()
