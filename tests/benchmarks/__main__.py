"""`python -m tests.benchmarks images [--quick]`: the tables of docs/benchmarks-images.md, made on this machine.

`... images --instructions` adds how many instructions fit takes, `... reading` asks whether plates are easier to read
for vehicle first, and `... rules` prints what simple rules reach on the fit half. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from tests.benchmarks.instructions import Counter, instruction_lines
from tests.benchmarks.pictures import IMAGES
from tests.benchmarks.reading import reading_report
from tests.benchmarks.report import FULL, QUICK, images_report
from tests.benchmarks.rules import rules_report


def main() -> int:
    """0, or 2 where the pictures are absent."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("what", choices=("images", "reading", "rules"))
    parser.add_argument(
        "--quick", action="store_true", help="few pictures and a reduced search: a minute or two, rough numbers"
    )
    parser.add_argument(
        "--instructions",
        nargs="?",
        const="any",
        choices=("any", *(counter.value for counter in Counter)),
        help="count the instructions of fit and floor too, by perf or else by callgrind (ten minutes)",
    )
    given = parser.parse_args()
    if not (IMAGES / "SOURCES.tsv").exists():
        print(
            "The pictures are not there: expected SOURCES.tsv in shared/images beside the repository.", file=sys.stderr
        )
        return 2
    for line in _lines(given.what, given.quick, given.instructions):
        print(line, flush=True)
    return 0


def _lines(what: str, quick: bool, instructions: str | None) -> Iterator[str]:
    if what == "rules":
        yield from rules_report()
    elif what == "reading":
        yield from reading_report(quick)
    else:
        yield from images_report(QUICK if quick else FULL)
    if instructions is not None:
        yield from ("", *instruction_lines(None if instructions == "any" else Counter(instructions)))


if __name__ == "__main__":
    sys.exit(main())
