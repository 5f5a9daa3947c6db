"""Reads one TOML file into its table and the lines of its keys; what is wrong with it is a value, never an exception.

Nothing is validated here, and no message repeats a value.
"""

import errno
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_config.origins import KeyPath, key_lines

MAX_FILE_BYTES = 1_000_000
MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Problem:
    """Something for the operator to mend. `file` is relative to the configuration folder, `line` counts from 1.

    `key` is the key's path as written in that file, empty where the file as a whole is meant.
    """

    file: str
    line: int
    key: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.key + ' ' if self.key else ''}{self.problem}"


@dataclass(frozen=True, slots=True)
class Document:
    """One file as parsed: `lines` is what `origins.key_lines` makes of it."""

    file: str
    table: dict[str, Any] = field(repr=False)
    lines: dict[KeyPath, int]


def parse(text: str, file: str) -> Document | Problem:
    """`text` as TOML, or where it is not."""
    try:
        document = Document(file, tomllib.loads(text), key_lines(text))
    except RecursionError:
        return Problem(file, 1, "", "is not TOML that can be read: nested too deeply")
    except ValueError as error:  # TOMLDecodeError, and Python's own refusal of integers of thousands of digits
        return Problem(file, _line_in(str(error), text), "", f"is not valid TOML: {_reason(str(error))}")
    too_deep = next((line for path, line in document.lines.items() if len(path) > MAX_DEPTH), None)
    return document if too_deep is None else Problem(file, too_deep, "", "tables are nested too deeply")


def read(folder: Path, file: str) -> Document | Problem:
    """The file called `file` under `folder`."""
    try:
        with (folder / file).open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return Problem(file, 1, "", f"cannot be read: {os.strerror(error.errno or errno.EIO)}")
    if len(content) > MAX_FILE_BYTES:
        return Problem(file, 1, "", f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return Problem(file, content.count(b"\n", 0, error.start) + 1, "", "is not UTF-8 text")
    return parse(text, file)


def list_folder(folder: Path, name: str) -> tuple[tuple[str, ...], Problem | None]:
    """The `.toml` files of the folder `name`, sorted, hidden ones left out; no such folder is no files."""
    try:
        found = sorted(entry.name for entry in (folder / name).iterdir())
    except FileNotFoundError:
        return (), None
    except OSError as error:
        return (), Problem(name, 1, "", f"cannot be read: {os.strerror(error.errno or errno.EIO)}")
    files = (file for file in found if file.endswith(".toml") and not file.startswith("."))
    return tuple(f"{name}/{file}" for file in files), None


def _line_in(message: str, text: str) -> int:
    """tomllib says "(at line 3, column 7)" or "(at end of document)"."""
    if found := re.search(r"\(at line (\d+), column \d+\)$", message):
        return int(found.group(1))
    return max(1, len(text.splitlines())) if message.endswith("(at end of document)") else 1


def _reason(message: str) -> str:
    if message.startswith("Exceeds the limit"):
        return "a number of too many digits"
    return message[:1].lower() + message[1:]
