"""`anpr-edge config check|show|schema`: what is wrong, what is in force and why, and what may be written."""

from __future__ import annotations

import argparse

from capture.dialects import DIALECTS
from edge.commands.output import config_argument, json_argument, say, say_json, table, warn
from firmware_config.explain import camera_json_schema, json_schema, show
from firmware_config.load import load, problems

HELP = "check the configuration, show what is in force, print its JSON Schema"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("check", "show", "schema"))
    parser.add_argument("--origin", action="store_true", help="show: which file and line each value comes from")
    parser.add_argument("--camera", action="store_true", help="schema: of a file in cameras.d")
    config_argument(parser)
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    if args.what == "check":
        return _check(args)
    if args.what == "schema":
        say_json(camera_json_schema() if args.camera else json_schema())
        return 0
    return _show(args)


def _check(args: argparse.Namespace) -> int:
    found = problems(args.config, dialects=tuple(DIALECTS))
    if args.json:
        say_json([{"file": p.file, "line": p.line, "key": p.key, "problem": p.problem} for p in found])
    else:
        for problem in found:
            say(f"{args.config / problem.file}:{problem.line}: {problem.key} {problem.problem}")
        warn(
            f"{len(found)} to mend" if found else f"{args.config}: good; next: anpr-edge doctor --config {args.config}"
        )
    return 78 if found else 0


def _show(args: argparse.Namespace) -> int:
    shown = show(load(args.config, need_files=False, dialects=tuple(DIALECTS)))
    if args.json:
        say_json([{"key": s.key, "value": s.value} | ({"origin": str(s.origin)} if args.origin else {}) for s in shown])
    elif args.origin:
        table(("key", "value", "origin"), [(s.key, s.value, s.origin) for s in shown])
    else:
        table(("key", "value"), [(s.key, s.value) for s in shown])
    return 0
