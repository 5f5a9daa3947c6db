"""`anpr-edge fit`: bring pictures under the legal cap, and say what was done to each."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from compress.fit import fit, fit_and_measure
from compress.inspect import LIMITS, Header, inspect
from compress.surround import Mode, Surround
from edge.claim import Box, Role
from edge.commands.output import json_argument, say_json, table, warn
from edge.errors import Refused
from edge.read import AlteredSurround, BoxBy, FittedImage, PictureMeasures
from firmware_config.model import LoweredCaps
from firmware_config.profile import Caps, in_force, load_profile

HELP = "bring pictures inside the legal cap"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("role", choices=[role.value for role in Role])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the results here (made if missing)")
    parser.add_argument(
        "--box",
        type=_box,
        metavar="X,Y,W,H",
        help="the plate in the picture, in its pixels: a patch is cut to it, an overview never",
    )
    parser.add_argument(
        "--surround",
        type=Mode,
        choices=list(Mode),
        metavar="soften|mask",
        help="alter what lies round the vehicle in an overview; with --out, NAME.before.jpg shows it without",
    )
    parser.add_argument("--sigma", type=_sigma, metavar="S", help="blur of --surround soften, in px (default: 1.6)")
    parser.add_argument("--profile", default="nasple-2.4", help="legal profile (default: %(default)s)")
    json_argument(parser)
    parser.set_defaults(misused=parser.error)


def _box(text: str) -> Box:
    try:
        left, top, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("four whole numbers: X,Y,W,H") from None
    if min(left, top) < 0 or min(width, height) < 1:
        raise argparse.ArgumentTypeError("X and Y from 0, W and H from 1")
    return Box(left, top, width, height)


def _sigma(text: str) -> float:
    try:
        sigma_px = float(text)
    except ValueError:
        sigma_px = -1.0
    if not 0.5 <= sigma_px <= 8:
        raise argparse.ArgumentTypeError("a number from 0.5 to 8")
    return sigma_px


@dataclass(frozen=True, slots=True)
class _Wanted:
    role: Role
    caps: Caps
    box: Box | None
    surround: Surround | None
    out: Path | None


def _wanted(args: argparse.Namespace) -> _Wanted:
    if args.surround is not None and args.role != Role.OVERVIEW.value:
        args.misused("--surround is for overviews")
    if args.sigma is not None and args.surround is not Mode.SOFTEN:
        args.misused("--sigma goes with --surround soften")
    strength = {} if args.sigma is None else {"sigma_px": args.sigma}
    surround = None if args.surround is None else Surround(args.surround, **strength)
    return _Wanted(Role(args.role), in_force(load_profile(args.profile), LoweredCaps()), args.box, surround, args.out)


def run(args: argparse.Namespace) -> int:
    wanted = _wanted(args)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    results = []
    for file in tqdm(args.files, unit="picture", delay=2, disable=None, leave=False, file=sys.stderr):
        result = _fit(file, wanted)
        results.append(result)
        if args.json:
            say_json(result)
    if not args.json:
        table(("file", "from", "to", "bytes", "quality", "encodes", "ms", "action"), [_row(r) for r in results])
    refused = sum("refused" in result for result in results)
    if refused:
        warn(f"{refused} of {len(results)} refused")
    return 65 if refused else 0


def _fit(file: Path, wanted: _Wanted) -> dict[str, Any]:
    measures: PictureMeasures | None = None
    began = time.perf_counter()
    try:
        data = file.read_bytes()
        header = inspect(data, LIMITS)
        if wanted.role is Role.OVERVIEW:
            image, measures = fit_and_measure(data, wanted.caps, wanted.box, surround=wanted.surround)
        else:
            image = fit(data, wanted.role, wanted.caps, wanted.box)
    except Refused as refusal:
        return {"file": str(file), "refused": refusal.reason, "sentence": refusal.sentence}
    except OSError as problem:
        return {"file": str(file), "refused": "unreadable", "sentence": f"cannot be read: {problem.strerror}"}
    taken_ms = (time.perf_counter() - began) * 1000
    if wanted.surround is not None and image.surround is None:
        warn(f"{file}: the surround is as it was: no plate to go by, or the vehicle fills the picture")
    if wanted.out is not None:
        (wanted.out / f"{file.stem}.jpg").write_bytes(image.jpeg)
        if wanted.surround is not None:
            before = fit(data, wanted.role, wanted.caps, wanted.box)
            (wanted.out / f"{file.stem}.before.jpg").write_bytes(before.jpeg)
    return _told(file, header, len(data), image, taken_ms) | (
        {} if measures is None else {"measures": _rounded(measures)}
    )


def _told(file: Path, header: Header, size_bytes: int, image: FittedImage, taken_ms: float) -> dict[str, Any]:
    return {
        "file": str(file),
        "in": {
            "format": header.format.value,
            "width": header.width_px,
            "height": header.height_px,
            "bytes": size_bytes,
        },
        "out": {"format": "jpeg", "width": image.width_px, "height": image.height_px, "bytes": len(image.jpeg)},
        "quality": image.quality,
        "encodes": image.encodes,
        "action": list(image.actions),
        "ms": round(taken_ms, 2),
    } | ({} if image.surround is None else {"surround": _surround(image.surround)})


def _rounded(measures: PictureMeasures) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(measures).items()}


def _surround(done: AlteredSurround) -> dict[str, Any]:
    region = done.region
    return {
        "mode": done.mode,
        "sigma_px": done.sigma_x100 / 100,
        "region": [region.left_px, region.top_px, region.width_px, region.height_px],
        "box": "given" if done.box is BoxBy.CAMERA else done.box.value,
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
