"""`python -m tests.proofs NAME ...`: runs tests/proofs/NAME.py by its `main`; without a name, lists them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def names() -> list[str]:
    """The proofs of this folder: every module with a `main`."""
    modules = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))
    return [path.stem for path in modules if "\ndef main(" in path.read_text("utf-8")]


def main(argv: list[str]) -> int:
    if not argv or argv[0] not in names():
        print(f"python -m tests.proofs NAME ..., where NAME is one of: {', '.join(names())}", file=sys.stderr)
        return 64
    found: int = importlib.import_module(f"tests.proofs.{argv[0]}").main(argv[1:])
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
