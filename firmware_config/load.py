"""Reads a configuration folder: packaged defaults, `config.toml`, `conf.d/*.toml`, and one file a camera.

All of it is in force, or none: there is no loading of half a configuration. Nothing is written, no environment is read,
and key files are looked for but never opened.
"""

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from edge.errors import Misconfigured
from firmware_config.documents import Problem
from firmware_config.fields import Table
from firmware_config.layers import MAIN, CameraFile, Layers, camera_files, leaf_lines, main_files
from firmware_config.model import Compress, Keys, Settings, Uplink
from firmware_config.origins import KeyPath, Origin, dotted
from firmware_config.problems import explain, nearest
from firmware_config.profile import Caps, Profile, in_force, load_profile, profile_names, raised

_T = TypeVar("_T", bound=Table)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration in force.

    `origins` maps a setting's path to its file and line; a camera's settings stand under ("cameras", ID, ...). What is
    not in it has its built-in default. `digest` is "sha256:" and hex over the canonical JSON of the settings.
    """

    settings: Settings
    profile: Profile
    caps: Caps
    origins: dict[KeyPath, Origin] = field(repr=False)
    digest: str
    folder: Path

    def resolve(self, path: Path) -> Path:
        """A key's or certificate's path as it is to be opened: relative ones lie under the configuration folder."""
        return self.folder / path


def load(folder: Path, *, need_files: bool = True, dialects: Collection[str] = ()) -> Loaded:
    """The configuration of `folder`, or Misconfigured with the first problem.

    `need_files=False` does not look for key files (for the commands that make them); `dialects`, where given, are the
    only names a camera's dialect may have.
    """
    loaded, found = _examine(folder, need_files, dialects)
    if loaded is None:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise Misconfigured(
            f"{folder}/{found[0]}{more}", f"correct it, then run: anpr-edge config check --config {folder}"
        )
    return loaded


def problems(folder: Path, *, need_files: bool = True, dialects: Collection[str] = ()) -> tuple[Problem, ...]:
    """Everything to mend in `folder`, by file and line; empty where `load` would succeed.

    An authorisation that has expired or not begun is no problem of the configuration.
    """
    return _examine(folder, need_files, dialects)[1]


def digest_of(settings: Settings) -> str:
    """ "sha256:" and hex over the settings as JSON with sorted keys, no blanks, UTF-8."""
    text = json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _examine(folder: Path, need_files: bool, dialects: Collection[str]) -> tuple[Loaded | None, tuple[Problem, ...]]:
    if not folder.is_dir():
        return None, (Problem(MAIN, 1, "", "is not there: there is no such folder"),)
    main, found = main_files(folder)
    cameras, refused = camera_files(folder, dialects)
    found += refused
    settings = None
    if main is not None:
        settings, refused = _settings(main, cameras)
        found += refused + _caps_problems(main)
        if need_files:
            found += _missing_files(folder, main) + [one for each in cameras for one in _missing_of(folder, each)]
    if found or settings is None or main is None:
        return None, tuple(sorted(set(found), key=lambda one: (one.file, one.line, one.key)))
    profile = load_profile(settings.compress.profile)
    caps = in_force(profile, settings.compress.caps)
    origins = main.origins | {
        ("cameras", each.camera.id, *path): Origin(each.document.file, line)
        for each in cameras
        for path, line in leaf_lines(each.document)
    }
    return Loaded(settings, profile, caps, origins, digest_of(settings), folder), ()


def _settings(main: Layers, cameras: list[CameraFile]) -> tuple[Settings | None, list[Problem]]:
    def locate(path: KeyPath) -> tuple[Origin, KeyPath]:
        if len(path) > 2 and path[0] == "cameras" and isinstance(path[1], int):
            return cameras[path[1]].locate(path[2:])
        return main.locate(path)

    try:
        return Settings.model_validate({**main.table, "cameras": tuple(each.camera for each in cameras)}), []
    except ValidationError as error:
        return None, list(explain(error, Settings, locate))


def _caps_problems(main: Layers) -> list[Problem]:
    """Caps above the legal maximum, looked for even where other settings are refused."""
    compress = _section(Compress, main, "compress")
    if compress is None:
        return []
    if compress.profile not in profile_names():
        sentence = f"is not a profile that is known here{nearest(compress.profile, profile_names())}"
        return [_problem(main, ("compress", "profile"), sentence)]
    profile = load_profile(compress.profile)
    return [
        _problem(
            main,
            ("compress", "caps", one.cap),
            f"{one.asked} is above the maximum of {profile.name}, {one.allowed}: a cap may be lowered, never raised",
        )
        for one in raised(profile, compress.caps)
    ]


def _missing_of(folder: Path, each: CameraFile) -> list[Problem]:
    """The files that a camera's file names and that are not there."""
    camera, found = each.camera, []
    named: dict[KeyPath, Path | None] = {("source", key): getattr(camera.source, key) for key in ("login", "ca")}
    if camera.grab is not None:
        named |= {("grab", key): getattr(camera.grab, key) for key in ("login", "ca")}
    for path, file in named.items():
        sentence = _unusable(folder, file)
        if sentence:
            origin, key = each.locate(path)
            found.append(Problem(origin.file, origin.line, dotted(key), sentence))
    return found


def _missing_files(folder: Path, main: Layers) -> list[Problem]:
    named: dict[KeyPath, Path | None] = {}
    uplink = _section(Uplink, main, "uplink")
    if uplink is not None and uplink.tls:
        named |= {("uplink", key): getattr(uplink, key) for key in ("ca", "certificate", "key")}
    keys = _section(Keys, main, "keys")
    if keys is not None:
        named |= {("keys", key): getattr(keys, key) for key in Keys.model_fields}
    push = main.table.get("capture", {}).get("http_push", {})
    if isinstance(push, dict) and push.get("listen_tls") is not None:
        named |= {("capture", "http_push", key): _path(push.get(key)) for key in ("certificate", "key")}
    told = ((path, _unusable(folder, file)) for path, file in named.items())
    return [_problem(main, path, sentence) for path, sentence in told if sentence]


def _path(value: object) -> Path | None:
    return Path(value) if isinstance(value, str) else None


def _unusable(folder: Path, file: Path | None) -> str:
    """What is wrong with a file that is named; empty where nothing is, or none is named."""
    if file is None:
        return ""
    if not os.access(folder / file, os.R_OK):
        return "names a file that is not there or may not be read"
    return "" if (folder / file).is_file() else "names something that is not a file"


def _section(model: type[_T], main: Layers, name: str) -> _T | None:
    try:
        return model.model_validate(main.table.get(name))
    except ValidationError:
        return None


def _problem(main: Layers, path: KeyPath, sentence: str) -> Problem:
    origin, key = main.locate(path)
    return Problem(origin.file, origin.line, dotted(key), sentence)
