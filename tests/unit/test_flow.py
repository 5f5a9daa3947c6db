"""Drain and fill times from rates, and no number where there is none to believe."""

from __future__ import annotations

from edge.flow import WINDOW_S, FlowMeter, Sample


def test_nothing_waits_and_nothing_comes() -> None:
    meter = FlowMeter()
    assert (meter.flow(0, 1000).drain_s, meter.flow(0, 1000).full_s) == (0, None)
    assert meter.flow(5, 1000).drain_s is None


def test_draining_faster_than_filling() -> None:
    meter = FlowMeter()
    meter.note(Sample(0.0, 0, 0))
    meter.note(Sample(10.0, 1_000, 3_000))
    flow = meter.flow(waiting_bytes=4_000, free_bytes=1_000)
    assert (flow.in_bytes_per_s, flow.out_bytes_per_s, flow.drain_s, flow.full_s) == (100, 300, 20, None)


def test_filling_faster_than_draining_says_when_it_is_full_and_no_drain_time() -> None:
    meter = FlowMeter()
    meter.note(Sample(0.0, 0, 0))
    meter.note(Sample(10.0, 3_000, 1_000))
    flow = meter.flow(waiting_bytes=4_000, free_bytes=1_000)
    assert (flow.drain_s, flow.full_s) == (None, 5)


def test_only_the_last_minutes_count() -> None:
    meter = FlowMeter()
    meter.note(Sample(0.0, 0, 0))
    for second in range(1, 601):
        meter.note(Sample(float(second), 1_000_000, second * 10))
    flow = meter.flow(waiting_bytes=100, free_bytes=100)
    assert flow.in_bytes_per_s == 0
    assert flow.out_bytes_per_s == 10
    assert WINDOW_S < 600
