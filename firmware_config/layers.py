"""The files of a configuration folder laid over one another, each value remembering the line it came from.

Later files win, key by key. What is wrong with a file is a value, never an exception.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from firmware_config.camera import Camera
from firmware_config.documents import Document, Problem, list_folder, parse, read
from firmware_config.origins import KeyPath, Origin, line_of
from firmware_config.problems import explain, nearest

DEFAULTS = "defaults.toml"
MAIN = "config.toml"


def defaults() -> Document:
    """The packaged defaults."""
    document = parse((resources.files("firmware_config") / DEFAULTS).read_text("utf-8"), DEFAULTS)
    assert isinstance(document, Document), document
    return document


@dataclass(slots=True)
class Layers:
    """The main files laid over one another."""

    table: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)

    def lay(self, document: Document) -> None:
        self._lay(document.table, self.table, (), document)

    def _lay(self, over: dict[str, Any], under: dict[str, Any], above: KeyPath, document: Document) -> None:
        for name, value in over.items():
            path = (*above, name)
            origin = Origin(document.file, line_of(document.lines, path))
            if isinstance(value, dict):
                # A table's own line serves keys that are missing from it: the operator's first mention of it.
                if self.origins.get(path, Origin(DEFAULTS, 0)).file == DEFAULTS:
                    self.origins[path] = origin
                if not isinstance(under.get(name), dict):
                    under[name] = {}
                self._lay(value, under[name], path, document)
            else:
                self.origins = {key: at for key, at in self.origins.items() if key[: len(path)] != path}
                self.origins[path] = origin
                under[name] = value

    def locate(self, path: KeyPath) -> tuple[Origin, KeyPath]:
        """Where to mend `path`: its own line, or that of the operator's nearest table that should hold it."""
        for length in range(len(path), 0, -1):
            origin = self.origins.get(path[:length])
            if origin is not None and origin.file != DEFAULTS:
                return origin, path
        return Origin(MAIN, 1), path


@dataclass(frozen=True, slots=True)
class CameraFile:
    """One sound file of `cameras.d/`."""

    document: Document
    camera: Camera

    def locate(self, path: KeyPath) -> tuple[Origin, KeyPath]:
        return _locate(self.document, path)


def main_files(folder: Path) -> tuple[Layers | None, list[Problem]]:
    """The main files laid in order; None where one of them cannot be read, for then nothing is known to be missing."""
    more, unlisted = list_folder(folder, "conf.d")
    found = [unlisted] if unlisted else []
    layers = Layers()
    layers.lay(defaults())
    for file in (MAIN, *more):
        document = read(folder, file)
        if isinstance(document, Problem):
            found.append(document)
        elif "cameras" in document.table:
            line = line_of(document.lines, ("cameras",))
            found.append(Problem(file, line, "cameras", "does not belong here: each camera has a file in cameras.d/"))
        else:
            layers.lay(document)
    return (None if found else layers), found


def camera_files(folder: Path, dialects: Collection[str]) -> tuple[list[CameraFile], list[Problem]]:
    """The cameras that are sound, in the order of their names, and what is wrong with the others."""
    files, unlisted = list_folder(folder, "cameras.d")
    found = [unlisted] if unlisted else []
    cameras = []
    for file in files:
        document = read(folder, file)
        if isinstance(document, Problem):
            found.append(document)
            continue
        try:
            one = CameraFile(document, Camera.model_validate(document.table))
        except ValidationError as error:
            found += explain(error, Camera, partial(_locate, document))
            continue
        if dialects and one.camera.dialect not in dialects:
            line = line_of(document.lines, ("dialect",))
            found.append(Problem(file, line, "dialect", f"is not known here{nearest(one.camera.dialect, dialects)}"))
        cameras.append(one)
    return sorted(cameras, key=lambda each: (each.camera.id, each.document.file)), found


def _locate(document: Document, path: KeyPath) -> tuple[Origin, KeyPath]:
    return Origin(document.file, line_of(document.lines, path)), path


def leaf_lines(document: Document) -> Iterable[tuple[KeyPath, int]]:
    """Every key of the document that holds a value, with its line."""

    def leaves(table: dict[str, Any], above: KeyPath) -> Iterable[tuple[KeyPath, int]]:
        for name, value in table.items():
            path = (*above, name)
            if isinstance(value, dict):
                yield from leaves(value, path)
            else:
                yield path, line_of(document.lines, path)

    return leaves(document.table, ())
