"""Rows of Plate Recognizer Stream's CSV output, as the members its webhook has. Pure.

The cells of a row hold what Python prints for a dictionary; only the few that are needed are looked for, by pattern.
What may not happen here: a cell evaluated.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge.errors import Refused

_COLUMNS = [
    *("timestamp", "plate", "score", "dscore", "file", "box", "model_make", "color"),
    *("vehicle", "region", "orientation", "candidates", "source_url", "position_sec", "direction"),
]
_ROWS_MAX = 256
_BODY_MAX_BYTES = 1024 * 1024
_HEADER = b"timestamp,plate,score,"
_ROW = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?[+-]\d\d:\d\d,[^,\r\n]{0,64},[\d.]{0,8},")
_CODE = re.compile(r"'code': '([^']{0,16})'")
_SIDE = re.compile(r"'([xy](?:min|max))': (\d{1,6})\b")


@dataclass(frozen=True, slots=True)
class Row:
    """A row as a webhook would have said it: what is of the frame, and the one result in it."""

    data: dict[str, Any]
    result: dict[str, Any]


def looks_like_rows(body: bytes) -> bool:
    return body.startswith((_HEADER, b"\xef\xbb\xbf" + _HEADER)) or _ROW.match(body) is not None


def rows(body: bytes) -> list[Row]:
    """Every row, at most 256. Raises `Refused`: `too_large`, `csv_malformed`, `no_plate` for a header alone."""
    if len(body) > _BODY_MAX_BYTES:
        raise Refused("a CSV document is larger than 1 MB", reason="too_large")
    found: list[Row] = []
    try:
        columns = _COLUMNS
        for cells in csv.reader(body.decode("utf-8-sig").splitlines(), strict=True):
            if cells and cells[0] == "timestamp":
                columns = cells
                continue
            if len(cells) != len(columns):
                raise Refused("a row has not the columns that were announced", reason="csv_malformed")
            if len(found) == _ROWS_MAX:
                raise Refused(f"a CSV document has more than {_ROWS_MAX} rows", reason="too_large")
            found.append(_row(dict(zip(columns, cells, strict=True))))
    except (csv.Error, UnicodeDecodeError):
        raise Refused("a CSV document cannot be read", reason="csv_malformed") from None
    if not found:
        raise Refused("a CSV document has no row", reason="no_plate")
    return found


def _row(cells: dict[str, str]) -> Row:
    if "plate" not in cells:
        raise Refused("a row has no column for the plate", reason="no_plate")
    code = _CODE.search(cells.get("region", ""))
    return Row(
        {"timestamp": cells.get("timestamp"), "filename": cells.get("file")},
        {
            "plate": cells["plate"],
            "score": cells.get("score"),
            "direction": cells.get("direction"),
            "box": dict(_sides(cells.get("box", ""))),
            "vehicle": {"box": dict(_sides(cells.get("vehicle", "")))},
            "region": {"code": code[1] if code else ""},
        },
    )


def _sides(cell: str) -> Iterator[tuple[str, int]]:
    for side, px in _SIDE.findall(cell[:1000]):
        yield side, int(px)
