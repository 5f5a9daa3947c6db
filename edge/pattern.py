r"""Regular expressions out of a configuration, which are then held against hostile texts. Pure.

What may not happen here: an expression let through that a hostile text can hold up.

Taken is a part of Python's syntax: characters, `.`, classes, `\d \w \s \b` and their opposites, groups (named, plain
and `(?:`), `|`, `* + ? {m,n}` (also lazy and possessive), `^ $`, and `(?i)` or `(?s)` in front. No look-around, no
references back, no repetition of what itself repeats or chooses.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

PATTERN_MAX_CHARACTERS = 500
_DEPTH_MAX = 12

_SAMPLES = "".join(map(chr, range(128))) + "\x85\xa0\u2003äßЯя京٣€"
_ESCAPED = "dDwWsStnrfv"
_FLAGS = re.compile(r"\(\?([is]{1,2})\)")
_BRACES = re.compile(r"\{(\d{0,4})(,?)(\d{0,4})\}", re.ASCII)
_NAMED = re.compile(r"\(\?P<[A-Za-z_]\w{0,63}>", re.ASCII)
_CLASS = re.compile(r"\[\^?\]?(?:[^\]\\\[]|\\.)*\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bound:
    """The longest text that an expression is held against, and the most steps (some 5 ns each) that it may take."""

    characters: int
    steps: int


TEXT = Bound(4096, 80_000_000)
NAME = Bound(256, 40_000_000)
MEMBER = Bound(512, 4_000_000)


@dataclass(frozen=True, slots=True)
class _One:
    """A character of a set, as bits over the samples."""

    bits: int


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place between characters; `many`: there may be many such in a text."""

    many: bool


@dataclass(frozen=True, slots=True)
class _Row:
    items: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    branches: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    body: _Node
    least: int
    most: int
    possessive: bool


_Node = _One | _Mark | _Row | _Choice | _Repeat


class _Fault(Exception):
    pass


def pattern_fault(text: str, bound: Bound) -> str | None:
    """Why this expression may not be held against hostile texts within the bound; None where it may."""
    if not 0 < len(text) <= PATTERN_MAX_CHARACTERS:
        return f"should be a regular expression of at most {PATTERN_MAX_CHARACTERS} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(text)
        tree, anchored = _Reader(text, bound.characters).read()
    except (re.error, Warning, OverflowError, RecursionError):
        return "is not a regular expression"
    except _Fault as fault:
        return str(fault)
    if _steps(tree, 0, 0, bound.characters) * (1 if anchored else bound.characters) > bound.steps:
        return "would take too long on a hostile text: begin it with ^, or write [^;]* where it has .* before a ;"
    return None


class _Reader:
    """Reads an expression into a tree, refusing what is outside the part that is taken."""

    def __init__(self, text: str, longest: int) -> None:
        flags = _FLAGS.match(text)
        self._flags = re.IGNORECASE if flags and "i" in flags[1] else re.NOFLAG
        self._flags |= re.DOTALL if flags and "s" in flags[1] else re.NOFLAG
        self._text = text
        self._at = flags.end() if flags else 0
        self._begin = self._at
        self._longest = longest
        self._samples = _SAMPLES + "".join(sorted({c for c in text if ord(c) > 127}))

    def read(self) -> tuple[_Node, bool]:
        tree = self._choice(0)
        if self._at != len(self._text):
            raise _Fault("is not a regular expression")
        first = tree.items[0] if isinstance(tree, _Row) and tree.items else None
        return tree, isinstance(first, _Mark) and not first.many

    def _choice(self, depth: int) -> _Node:
        if depth > _DEPTH_MAX:
            raise _Fault("has groups nested too deeply")
        branches = [self._row(depth)]
        while self._text[self._at : self._at + 1] == "|":
            self._at += 1
            branches.append(self._row(depth))
        return branches[0] if len(branches) == 1 else _Choice(tuple(branches))

    def _row(self, depth: int) -> _Node:
        items: list[_Node] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            items.append(self._repeated(self._atom(depth)))
        return _Row(tuple(items))

    def _atom(self, depth: int) -> _Node:
        char = self._text[self._at]
        if char == "(":
            return self._group(depth)
        if char in "^$":
            self._at += 1
            return _Mark(many=False)
        if char == "[":
            found = _CLASS.match(self._text, self._at)
            if found is None:
                raise _Fault(r"has a class that is not plain: write \[ for a bracket in it")
            if any(c.isalnum() and c not in _ESCAPED for c in re.findall(r"\\(.)", found[0], re.DOTALL)):
                raise _Fault("has an escape in a class that is not taken")
            return self._one(found[0])
        if char == "\\":
            return self._escape()
        if char in "*+?{}":
            raise _Fault(r"repeats nothing, or has a brace: write \{ for a brace")
        return self._one(char)

    def _escape(self) -> _Node:
        what = self._text[self._at + 1]
        if what in "bB":
            self._at += 2
            return _Mark(many=True)
        if what in "AZ":
            self._at += 2
            return _Mark(many=False)
        if what.isalnum() and what not in _ESCAPED:
            raise _Fault("refers back to a group, or has an escape that is not taken")
        return self._one("\\" + what)

    def _group(self, depth: int) -> _Node:
        named = _NAMED.match(self._text, self._at)
        if named is not None:
            self._at = named.end()
        elif self._text.startswith("(?:", self._at):
            self._at += 3
        elif self._text.startswith("(?", self._at):
            raise _Fault("has a group that is not taken: look-around, reference, condition or flag")
        else:
            self._at += 1
        inside = self._choice(depth + 1)
        self._at += 1
        return inside

    def _repeated(self, body: _Node) -> _Node:
        least, most = self._times()
        if (least, most) == (1, 1):
            return body
        possessive = self._text[self._at : self._at + 1] == "+"
        if self._text[self._at : self._at + 1] in ("+", "?"):
            self._at += 1
        if isinstance(body, _Mark) or (most > 1 and not _fixed(body)):
            raise _Fault("repeats what itself repeats or chooses, as (a+)* and (a|b)* do: that may take forever")
        return _Repeat(body, least, most, possessive)

    def _times(self) -> tuple[int, int]:
        char = self._text[self._at : self._at + 1]
        if char and char in "*+?":
            self._at += 1
            return (1 if char == "+" else 0), (1 if char == "?" else self._longest)
        if char != "{":
            return 1, 1
        found = _BRACES.match(self._text, self._at)
        if found is None or not (found[1] or found[3]):
            raise _Fault(r"has a brace: write \{")
        self._at = found.end()
        least = int(found[1] or 0)
        most = int(found[3]) if found[3] else self._longest if found[2] else least
        return least, min(most, self._longest)

    def _one(self, source: str) -> _Node:
        self._at += len(source)
        is_one = re.compile(re.escape(source) if len(source) == 1 and source != "." else source, self._flags)
        return _One(sum(1 << n for n, c in enumerate(self._samples) if is_one.fullmatch(c)))


def _fixed(node: _Node) -> bool:
    """Whether it can match in one way only, and never nothing."""
    if isinstance(node, _Row):
        return bool(node.items) and all(_fixed(item) for item in node.items)
    return isinstance(node, _One) or (isinstance(node, _Repeat) and 0 < node.least == node.most and _fixed(node.body))


def _nullable(node: _Node) -> bool:
    match node:
        case _One():
            return False
        case _Mark():
            return node.many
        case _Row():
            return all(_nullable(item) for item in node.items)
        case _Choice():
            return any(_nullable(branch) for branch in node.branches)
        case _Repeat():
            return node.least == 0 or _nullable(node.body)


def _first(node: _Node) -> int:
    """The characters it can begin with."""
    match node:
        case _One():
            return node.bits
        case _Mark():
            return 0
        case _Choice():
            found = 0
            for branch in node.branches:
                found |= _first(branch)
            return found
        case _Repeat():
            return _first(node.body)
        case _Row():
            found = 0
            for item in node.items:
                found |= _first(item)
                if not _nullable(item):
                    break
            return found


def _steps(node: _Node, follow: int, after: int, longest: int) -> int:
    """How many steps it takes at the most to fail from one place on, when what follows begins with one of `follow`
    and takes `after` steps to fail; 0: nothing follows, so that nothing can fail."""
    match node:
        case _One() | _Mark():
            return max(1, after)
        case _Row():
            for item in reversed(node.items):
                after = _steps(item, follow, after, longest)
                follow = _first(item) | (follow if _nullable(item) else 0)
            return after
        case _Choice():
            each = [_steps(branch, follow, after, longest) for branch in node.branches]
            begins = [_first(branch) | (follow if _nullable(branch) else 0) for branch in node.branches]
            together = 0
            for bits in begins:
                if bits & together or bits == 0:
                    return sum(each)
                together |= bits
            return max(each)
        case _Repeat():
            return _repeated_steps(node, follow, after, longest)


def _repeated_steps(node: _Repeat, follow: int, after: int, longest: int) -> int:
    if not _fixed(node.body):  # then it stands once or not at all
        return _steps(node.body, follow, after, longest) + after
    if after == 0:
        return max(1, node.least)
    if node.possessive or node.least == node.most or not _first(node.body) & follow:
        return node.most + after
    return (node.most - node.least + 1) * (1 + after)
