"""What a camera heard as a mark: never a word for nothing, and never an exception."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.vrm import normalise


@pytest.mark.parametrize(
    ("heard", "vrm"),
    [
        ("AB12 CDE", "AB12CDE"),
        ("ab12cde", "AB12CDE"),
        (" ab-12.cde ", "AB12CDE"),
        ("B·MW 1234", "BMW1234"),
        ("ＡＢ１２", "AB12"),  # full width, as one vendor sends it
        ("京A12345", "京A12345"),
        ("А123ВС 77", "А123ВС77"),  # Cyrillic stays Cyrillic
        ("Ö-XY 12", "ÖXY12"),
        ("O\u0308-XY 12", "ÖXY12"),  # the same, composed
        ("0", "0"),
        ("NONE1", "NONE1"),
        ("UNKNOWN 7", "UNKNOWN7"),
    ],
)
def test_a_mark_is_normalised(heard: str, vrm: str) -> None:
    assert normalise(heard) == vrm


@pytest.mark.parametrize(
    "heard",
    [
        "",
        " ",
        "-",
        "unknown",
        "UNKNOWN",
        "Un-known",
        "no plate",
        "NO_PLATE",
        "noPlate",
        "unlicensed",
        "null",
        "N/A",
        "none",
    ],
    ids=repr,
)
def test_no_plate_is_never_a_mark(heard: str) -> None:
    assert normalise(heard) is None


@given(st.text(max_size=80))
def test_any_text_gives_letters_and_digits_in_upper_case_or_nothing(heard: str) -> None:
    vrm = normalise(heard)
    assert vrm is None or (vrm != "" and vrm == vrm.upper())
    assert vrm is None or not any(c.isspace() or c in "-._/\\\x00" for c in vrm)


@given(st.text(max_size=80))
def test_a_mark_that_is_heard_again_is_the_same_mark(heard: str) -> None:
    vrm = normalise(heard)
    assert vrm is None or vrm.isascii() is False or normalise(vrm) == vrm


def test_naughty_strings_raise_nothing(vectors_folder: Path) -> None:
    texts = json.loads((vectors_folder / "naughty-strings/blns.json").read_text(encoding="utf-8"))
    assert len(texts) > 400
    for text in [*texts, "\ud800", "A\udfffB"]:
        vrm = normalise(text)
        assert vrm is None or "/" not in vrm
    for nothing in ("null", "not defined", "no read", "***", "\u200b", "\x00", "?"):
        assert normalise(nothing) is None
