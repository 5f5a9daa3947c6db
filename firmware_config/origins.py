"""Says on which line of a TOML text each key stands.

Only for text that `tomllib` has already accepted: nothing is validated here, and no value is ever read or kept.
"""

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[\s\ufeff]|#[^\n]*)*")
_KEY = re.compile(r"""(?:[^=\]"'\n]|"(?:\\.|[^"\\])*"|'[^']*')+""")
# The last two quotes of a multi-line string may belong to its text (TOML 1.0, "String").
_TOKEN = re.compile(
    r'''"""(?:\\.|[^\\])*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})'''
    r"""|"(?:\\.|[^"\\])*"|'[^']*'|\#[^\n]*|[\[{]|[\]}]|\n|[^"'\#\[\]{}\n]+""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value in force came from: a file (relative to the configuration folder) and its line, from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def dotted(path: KeyPath) -> str:
    """A key path as people write it: `uplink.broker`, `addresses[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Each table's and key's path, with the line (from 1) where it is written.

    An element of an array of tables is `("name", index)`. Keys inside inline tables and arrays are not listed: their
    line is that of the key that holds them, which `line_of` finds.
    """
    return _Scan(text).run()


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """The line of `path`, or of the nearest table or key that holds it; 1 where nothing does."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


@dataclass(slots=True)
class _Scan:
    text: str
    at: int = 0
    table: KeyPath = ()
    lines: dict[KeyPath, int] = field(default_factory=dict)
    elements: dict[KeyPath, int] = field(default_factory=dict)

    def run(self) -> dict[KeyPath, int]:
        newlines = [found.start() for found in re.finditer("\n", self.text)]
        while True:
            self.at = self._end_of(_BLANK)
            if self.at >= len(self.text):
                return self.lines
            line = bisect_right(newlines, self.at) + 1
            if self.text.startswith("[[", self.at):
                self._header(line, brackets=2)
            elif self.text[self.at] == "[":
                self._header(line, brackets=1)
            else:
                self._pair(line)

    def _end_of(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.text, self.at)
        return found.end() if found else self.at

    def _key(self) -> list[str]:
        """The key at hand, its parts unquoted by the one parser that knows how."""
        end = self._end_of(_KEY)
        parsed: object = tomllib.loads(f"{self.text[self.at : end]}=0")
        self.at = end
        parts = []
        while isinstance(parsed, dict):
            (part, parsed), *_ = parsed.items()
            parts.append(part)
        return parts

    def _header(self, line: int, brackets: int) -> None:
        self.at += brackets
        *above, last = self._key()
        self.at += brackets
        path: KeyPath = ()
        for part in above:
            path = self._inside((*path, part))
            self.lines.setdefault(path, line)
        path = (*path, last)
        if brackets == 2:
            self.lines.setdefault(path, line)
            index = self.elements[path] = self.elements.get(path, -1) + 1
            path = (*path, index)
        self.lines[path] = line
        self.table = path

    def _inside(self, path: KeyPath) -> KeyPath:
        """A path that is an array of tables means its latest element (TOML 1.0, "Array of Tables")."""
        return (*path, self.elements[path]) if path in self.elements else path

    def _pair(self, line: int) -> None:
        path = self.table
        for part in self._key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self.at += 1
        depth = 0
        while found := _TOKEN.match(self.text, self.at):
            self.at = found.end()
            token = found.group()
            depth += (token in ("[", "{")) - (token in ("]", "}"))
            if token == "\n" and depth == 0:
                return
        self.at = len(self.text)
