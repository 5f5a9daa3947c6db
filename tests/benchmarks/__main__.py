"""`python -m tests.benchmarks images [--quick]`: the tables of docs/benchmarks-images.md, made on this machine.

`python -m tests.benchmarks rules` prints what simple rules reach on the fit half. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from tests.benchmarks.pictures import IMAGES
from tests.benchmarks.report import FULL, QUICK, images_report
from tests.benchmarks.rules import rules_report


def main() -> int:
    """0, or 2 where the pictures are absent."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("what", choices=("images", "rules"))
    parser.add_argument(
        "--quick", action="store_true", help="few pictures and a reduced search: a minute, rough numbers"
    )
    given = parser.parse_args()
    if not (IMAGES / "SOURCES.tsv").exists():
        print(
            "The pictures are not there: expected SOURCES.tsv in shared/images beside the repository.", file=sys.stderr
        )
        return 2
    lines: Iterator[str] = rules_report() if given.what == "rules" else images_report(QUICK if given.quick else FULL)
    for line in lines:
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
