"""The program: `anpr-edge VERB`. Imports every room, and is imported by nobody.

Exit codes: 0 good; 1 our fault; 64 usage; 65 evidence does not verify; 75 try later; 78 configuration.
`doctor` follows monitoring plug-ins: 0 good, 1 poor, 2 bad, 3 unknown.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from typing import NoReturn, Protocol

from edge.commands import config, decode, doctor, fit, keys, quarantine, run, status, verify
from edge.errors import EdgeError
from edge.version import VERSION

EX_USAGE = 64


class Verb(Protocol):
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


VERBS: dict[str, Verb] = {
    "run": run,
    "status": status,
    "doctor": doctor,
    "config": config,
    "keys": keys,
    "decode": decode,
    "quarantine": quarantine,
    "fit": fit,
    "verify": verify,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; its exit code. Errors that have a name are one sentence and a hint, never a traceback."""
    parser = _Parser(prog="anpr-edge", description="Roadside gateway for number-plate cameras.")
    parser.add_argument("--version", action="version", version=VERSION)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        verb.add_arguments(verbs.add_parser(name, help=verb.HELP, description=verb.HELP))
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    os.umask(0o077)
    try:
        return VERBS[args.verb].run(args)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone; there is no one to tell
        return 0
    except (EdgeError, BaseExceptionGroup) as problem:
        error = next(_named(problem), None)
        if error is None:
            raise
    sys.stderr.write(f"anpr-edge: {error.sentence}\n" + (f"  {error.hint}\n" if error.hint else ""))
    return error.exit_code


def _named(problem: BaseException) -> Iterator[EdgeError]:
    """The errors of ours in a problem: a service's tasks end as a group."""
    if isinstance(problem, EdgeError):
        yield problem
    elif isinstance(problem, BaseExceptionGroup):
        for each in problem.exceptions:
            yield from _named(each)


if __name__ == "__main__":
    sys.exit(main())
