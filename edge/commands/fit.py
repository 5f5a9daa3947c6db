"""`anpr-edge fit`: bring pictures under the legal cap, and say what was done to each."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from compress.fit import fit
from compress.inspect import LIMITS, inspect
from edge.commands.output import json_argument, say_json, table, warn
from edge.errors import Refused
from edge.read import Box, Role
from firmware_config.model import LoweredCaps
from firmware_config.profile import Caps, in_force, load_profile

HELP = "bring pictures inside the legal cap"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("role", choices=[role.value for role in Role])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the results here (made if missing)")
    parser.add_argument("--box", type=_box, metavar="X,Y,W,H", help="the plate in the picture, in its pixels")
    parser.add_argument("--profile", default="nasple-2.4", help="legal profile (default: %(default)s)")
    json_argument(parser)


def _box(text: str) -> Box:
    try:
        left, top, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("four whole numbers: X,Y,W,H") from None
    if min(left, top) < 0 or min(width, height) < 1:
        raise argparse.ArgumentTypeError("X and Y from 0, W and H from 1")
    return Box(left, top, width, height)


def run(args: argparse.Namespace) -> int:
    caps = in_force(load_profile(args.profile), LoweredCaps())
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    results = []
    for file in tqdm(args.files, unit="picture", delay=2, disable=None, leave=False, file=sys.stderr):
        result = _fit(file, Role(args.role), caps, args.box, args.out)
        results.append(result)
        if args.json:
            say_json(result)
    if not args.json:
        table(("file", "from", "to", "bytes", "quality", "encodes", "ms", "action"), [_row(r) for r in results])
    refused = sum("refused" in result for result in results)
    if refused:
        warn(f"{refused} of {len(results)} refused")
    return 65 if refused else 0


def _fit(file: Path, role: Role, caps: Caps, box: Box | None, out: Path | None) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        data = file.read_bytes()
        header = inspect(data, LIMITS)
        image = fit(data, role, caps, box)
    except Refused as refusal:
        return {"file": str(file), "refused": refusal.reason, "sentence": refusal.sentence}
    except OSError as problem:
        return {"file": str(file), "refused": "unreadable", "sentence": f"cannot be read: {problem.strerror}"}
    taken_ms = (time.perf_counter() - began) * 1000
    if out is not None:
        (out / f"{file.stem}.jpg").write_bytes(image.jpeg)
    return {
        "file": str(file),
        "in": {
            "format": header.format.value,
            "width": header.width_px,
            "height": header.height_px,
            "bytes": len(data),
        },
        "out": {"format": "jpeg", "width": image.width_px, "height": image.height_px, "bytes": len(image.jpeg)},
        "quality": image.quality,
        "encodes": image.encodes,
        "action": list(image.actions),
        "ms": round(taken_ms, 2),
    }


def _row(result: dict[str, Any]) -> tuple[object, ...]:
    if "refused" in result:
        return (result["file"], "", "", "", "", "", "", f"refused: {result['sentence']}")
    given, made = result["in"], result["out"]
    return (
        result["file"],
        f"{given['width']}x{given['height']}",
        f"{made['width']}x{made['height']}",
        f"{given['bytes']} -> {made['bytes']}",
        result["quality"] or "-",
        result["encodes"],
        result["ms"],
        " ".join(result["action"]),
    )
