"""The node's clock, on readers that a test turns by hand."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edge.claim import ClockState, Received
from edge.clock import Clock, ClockQuality, boot_id, cores, kernel_quality, mono_ns, mono_s, utc_ms


class Turned:
    """A clock's readers, set by the test."""

    def __init__(self) -> None:
        self.utc_ms, self.mono_ns, self.asked = 1_000, 0, 0
        self.quality = ClockQuality(ClockState.SYNCHRONISED, 7)

    def ask(self) -> ClockQuality:
        self.asked += 1
        return self.quality

    def clock(self) -> Clock:
        return Clock(lambda: self.utc_ms, lambda: self.mono_ns, self.ask, boot="boot-9")


def test_now_is_what_the_readers_say() -> None:
    turned = Turned()
    turned.mono_ns = 2_500_000_000
    clock = turned.clock()
    assert clock.now() == Received(1_000, 7, ClockState.SYNCHRONISED, 2_500_000_000, "boot-9")
    assert clock.mono_s() == 2.5


def test_the_quality_is_asked_at_the_first_and_then_once_a_second() -> None:
    turned = Turned()
    clock = turned.clock()
    for at_ns, asked in ((0, 1), (1, 1), (999_999_999, 1), (1_000_000_000, 2), (1_500_000_000, 2), (9 * 10**9, 3)):
        turned.mono_ns = at_ns
        clock.now()
        clock.quality()
        assert turned.asked == asked


def test_a_lost_synchronisation_shows_within_a_second() -> None:
    turned = Turned()
    clock = turned.clock()
    assert clock.now().clock is ClockState.SYNCHRONISED
    turned.quality = ClockQuality(ClockState.UNSYNCHRONISED, None)
    turned.mono_ns = 1_000_000_000
    assert (clock.now().clock, clock.now().bound_ms) == (ClockState.UNSYNCHRONISED, None)


def test_a_step_of_wall_time_moves_no_monotonic_time() -> None:
    turned = Turned()
    clock = turned.clock()
    before = clock.now()
    turned.utc_ms -= 86_400_000
    after = clock.now()
    assert after.utc_ms < before.utc_ms
    assert after.mono_ns == before.mono_ns
    assert turned.asked == 1


BOOT = "6d1c2f5e-0b7a-4f1e-9a57-2f1f0c5b7e11"


def test_the_boot_is_read_from_the_kernels_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANPR_EDGE_BOOT_ID", "0" * 32)
    file = tmp_path / "proc/sys/kernel/random/boot_id"
    file.parent.mkdir(parents=True)
    file.write_text(BOOT + "\n", encoding="ascii")
    assert boot_id(tmp_path) == BOOT


def test_where_the_file_is_hidden_the_boot_is_systemds_word_in_the_same_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANPR_EDGE_BOOT_ID", BOOT.replace("-", ""))
    assert boot_id(tmp_path) == BOOT


@pytest.mark.parametrize("said", [None, "", "%b", "not a boot"])
def test_a_boot_that_nobody_names_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    monkeypatch.delenv("ANPR_EDGE_BOOT_ID", raising=False)
    if said is not None:
        monkeypatch.setenv("ANPR_EDGE_BOOT_ID", said)
    assert boot_id(tmp_path) == "unknown"


def test_the_kernels_word_is_a_state_with_a_bound_only_where_it_is_synchronised() -> None:
    quality = kernel_quality()
    assert quality.state in ClockState
    assert (quality.bound_ms is None) or (quality.state is ClockState.SYNCHRONISED and quality.bound_ms >= 1)


def test_the_real_readers_go_on() -> None:
    first = Clock().now()
    assert abs(first.utc_ms - time.time() * 1000) < 5_000
    assert abs(utc_ms() - time.time() * 1000) < 5_000
    assert mono_ns() >= first.mono_ns
    assert mono_s() >= first.mono_ns / 1e9
    assert 1 <= cores() <= (os.cpu_count() or 1)
