"""What a check is: one question about the node, and a finding that says how it is and what to do.

Findings are values. A check that depends on one that failed is not asked: its answer would only repeat the failure.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from edge.errors import EdgeError


class Level(IntEnum):
    """Also the exit codes of monitoring plug-ins."""

    GOOD = 0
    POOR = 1
    BAD = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    sentence: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One question. `depends_on`: ids of checks that must not be bad for this one to make sense."""

    id: str
    ask: Callable[[], Finding | Awaitable[Finding]]
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    check: Check
    finding: Finding


def good(sentence: str) -> Finding:
    return Finding(Level.GOOD, sentence)


def poor(sentence: str, hint: str) -> Finding:
    return Finding(Level.POOR, sentence, hint)


def bad(sentence: str, hint: str) -> Finding:
    return Finding(Level.BAD, sentence, hint)


def unknown(sentence: str, hint: str = "") -> Finding:
    return Finding(Level.UNKNOWN, sentence, hint)


async def ask_all(checks: Sequence[Check], told: Callable[[Answered], None] = lambda _: None) -> list[Answered]:
    """Ask in order; `told` hears each answer as it comes."""
    answered: dict[str, Answered] = {}
    for check in checks:
        failed = [name for name in check.depends_on if name in answered and not _stands(answered[name])]
        finding = (
            unknown(f"not asked, because {failed[0]} did not hold", f"mend {failed[0]} first")
            if failed
            else await _ask(check)
        )
        answered[check.id] = Answered(check, finding)
        told(answered[check.id])
    return list(answered.values())


def _stands(answer: Answered) -> bool:
    return answer.finding.level in (Level.GOOD, Level.POOR)


async def _ask(check: Check) -> Finding:
    try:
        found = check.ask()
        return await found if inspect.isawaitable(found) else found
    except EdgeError as problem:
        return bad(problem.sentence, problem.hint)
    except Exception as problem:  # noqa: BLE001  one check that breaks must not silence the others
        return unknown(f"the check itself failed: {type(problem).__name__}", "report it, with the version")


def exit_code(answers: Sequence[Answered]) -> int:
    """The worst finding, bad before unknown before poor."""
    for level in (Level.BAD, Level.UNKNOWN, Level.POOR):
        if any(answer.finding.level is level for answer in answers):
            return level.value
    return 0
