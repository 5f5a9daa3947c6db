"""From suspects to an alarm: two kinds of witness over a held time, weather excused by sisters, its beginning told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from edge.expect import State, Verdict
from edge.eyes import Light, Odd, Sight, Sign
from edge.fault import OF_NO_CAMERA, OF_PICTURES, SHARED_S, Fault
from edge.misread import Misread, OddShare
from edge.suspect import Alarm, Suspicion, Told, shared_signs, suspicion_restored

STEP_S = 300.0
AS_EXPECTED = Verdict(State.AS_EXPECTED, 0.0)
FEW = Verdict(State.FEW, 100.0, 9.0, 40, 100.0)
NONE = Verdict(State.FEW, 100.0, 12.0, 0, 60.0)
CHANGE = {Sign.BLURRED: -3.0, Sign.PLATE_BLURRED: -3.0, Sign.PLATE_UNLIT: -0.4}


@dataclass
class Played:
    """One camera's suspicion, and how far its time has gone."""

    state: Suspicion = field(default_factory=Suspicion)
    at_s: float = 0.0

    def go(
        self,
        hours: float,
        signs: Iterable[Sign] | None = (),
        light: Light = Light.DAY,
        reads: Verdict = AS_EXPECTED,
        shares: Iterable[Misread] = (),
        shared: Iterable[Sign] = (),
        **told: object,
    ) -> dict[Fault, Alarm]:
        """So many hours of the same; `signs` None: no picture came."""
        odd = {sign: Odd(sign, 5.0, CHANGE.get(sign, -0.1), 0.0, self.at_s) for sign in signs or ()}
        # Of the two that say where it looks, the one that is not seen was not judged.
        judged = frozenset(Sign) - (
            {Sign.MOVED, Sign.UNLIKE} - odd.keys() if odd.keys() & {Sign.MOVED, Sign.UNLIKE} else set()
        )
        sight = None if signs is None else Sight(light, judged, odd)
        wrong = {each: OddShare(each, 6.0, 0.3, 0.03, 300) for each in shares}
        found: tuple[Alarm, ...] = tuple(self.state.alarms.values())
        for _ in range(round(hours * 3600 / STEP_S)):
            self.at_s += STEP_S
            given = {"at_s": self.at_s, "lasted_s": STEP_S, "up": True, "sight": sight, "judged": frozenset(Misread)}
            given |= {"misread": wrong, "reads": reads, "light": light, "skew_ms": 100} | told
            found = self.state.note(Told(**given), frozenset(shared))  # type: ignore[arg-type]
        return {alarm.fault: alarm for alarm in found}


def test_one_odd_number_is_a_suspect_and_no_alarm() -> None:
    played = Played()
    assert played.go(12, [Sign.HAZY]) == {}
    assert played.state.suspects() == ("day/hazy",)
    assert set(played.go(13, [Sign.HAZY])) == {Fault.DIRTY}


@pytest.mark.parametrize(
    ("signs", "light", "expected"),
    [
        ([Sign.BLURRED, Sign.PLATE_BLURRED], Light.DAY, Fault.DEFOCUSED),
        ([Sign.HAZY, Sign.PLATE_PALE], Light.DAY, Fault.DIRTY),
        ([Sign.PLATE_UNLIT, Sign.HAZY], Light.INFRARED, Fault.DARK),
        ([Sign.DARK, Sign.PLATE_PALE], Light.DAY, Fault.DARK),
        ([Sign.OCCLUDED, Sign.PLATE_PALE], Light.DAY, Fault.COVERED),
        ([Sign.MOVED, Sign.PLATE_SMALL], Light.DAY, Fault.MOVED),
        ([Sign.GLARE, Sign.PLATE_LARGE], Light.DAY, Fault.MOVED),
        ([Sign.COLOUR, Sign.BRIGHT], Light.INFRARED, None),
    ],
)
def test_two_kinds_of_witness_for_an_hour_are_an_alarm_with_a_name(
    signs: list[Sign], light: Light, expected: Fault | None
) -> None:
    played = Played()
    assert played.go(0.9, signs, light) == {}
    found = played.go(0.5, signs, light)
    assert set(found) == ({expected} if expected else set())
    if expected:
        alarm = found[expected]
        assert alarm.since_s == 0.0
        assert 3600 <= alarm.raised_s < 3600 + 2 * STEP_S
        assert {name.split("/")[1] for name in alarm.seen} == {sign.value for sign in signs}


def test_reads_are_a_second_witness() -> None:
    found = Played().go(1.5, [Sign.HAZY], reads=FEW)
    assert set(found) == {Fault.DIRTY}
    assert "few-day" in found[Fault.DIRTY].seen
    assert set(Played().go(1.5, [Sign.HAZY], shares=[Misread.UNREAD])) == {Fault.DIRTY}


def test_easy_to_code_alone_is_never_an_alarm_and_counts_for_nothing() -> None:
    assert Played().go(48, [Sign.EASY]) == {}


def test_weather_that_sisters_see_is_no_fault_of_a_camera_until_two_days_have_passed() -> None:
    played, signs = Played(), [Sign.HAZY, Sign.PLATE_PALE]
    assert set(played.go(20, signs, shared=signs)) == {Fault.POOR_VISIBILITY}
    assert set(played.go(SHARED_S / 3600, signs, shared=signs)) >= {Fault.DIRTY}
    assert OF_NO_CAMERA.isdisjoint(OF_PICTURES)


def test_sisters_speak_for_weather_alone_and_only_most_of_them() -> None:
    hazy, clear = Played(), Played()
    hazy.go(0.5, [Sign.HAZY, Sign.PLATE_SMALL])
    clear.go(0.5)
    cameras = {"a": Suspicion(), "b": hazy.state, "c": clear.state}
    assert shared_signs("a", cameras, hazy.at_s) == frozenset()
    assert shared_signs("a", {"a": Suspicion(), "b": hazy.state}, hazy.at_s) == {Sign.HAZY}
    assert shared_signs("a", cameras | {"d": hazy.state}, hazy.at_s) == {Sign.HAZY}
    dirty = Played()
    dirty.go(3, [Sign.HAZY, Sign.PLATE_PALE])
    assert shared_signs("a", {"a": Suspicion(), "b": dirty.state}, dirty.at_s) == frozenset()
    assert shared_signs("a", {"a": hazy.state}, hazy.at_s) == frozenset()
    assert shared_signs("a", {"b": hazy.state}, hazy.at_s + 5 * 3600) == frozenset()


def test_daylight_does_not_mend_a_lamp_and_the_next_night_does() -> None:
    played = Played()
    assert Fault.DARK in played.go(3, [Sign.PLATE_UNLIT, Sign.HAZY], Light.INFRARED)
    assert Fault.DARK in played.go(12, [], Light.DAY)
    assert played.go(1, [], Light.INFRARED) == {}


def test_a_shift_that_fits_needs_no_second_witness_only_time() -> None:
    played = Played()
    assert played.go(5.5, [Sign.MOVED]) == {}
    assert set(played.go(1, [Sign.MOVED])) == {Fault.MOVED}
    turns = Played()
    assert turns.go(4, [Sign.UNLIKE]) == {}
    assert set(turns.go(2.5, [Sign.MOVED])) == {Fault.MOVED}


def test_a_frozen_picture_is_an_alarm_in_minutes_and_explains_what_else_is_seen() -> None:
    found = Played().go(3, [Sign.FROZEN, Sign.DARK, Sign.PLATE_PALE])
    assert set(found) == {Fault.FROZEN}
    assert found[Fault.FROZEN].raised_s <= 900


def test_nothing_at_all_is_certain_by_itself_and_fewer_are_not() -> None:
    assert set(Played().go(0.1, None, reads=NONE)) == {Fault.FEW_READS}
    fewer = Played()
    assert fewer.go(10, [], reads=FEW) == {}
    assert set(fewer.go(3, [], reads=FEW)) == {Fault.FEW_READS}
    assert fewer.go(1, []) == {}


def test_too_few_every_night_add_up_though_the_days_are_as_expected() -> None:
    played = Played()
    for night in range(2):
        found = played.go(7, None, Light.INFRARED, reads=FEW)
        assert set(found) == ({Fault.FEW_READS} if night else set())
        found = played.go(10, [], Light.DAY)
    assert set(found) == {Fault.FEW_READS}
    assert played.go(1, None, Light.INFRARED) == {}


def test_weather_passes_with_the_weather() -> None:
    played, signs = Played(), [Sign.HAZY]
    assert set(played.go(4, signs, Light.INFRARED, shared=signs)) == {Fault.POOR_VISIBILITY}
    assert played.go(3, [], Light.DAY) == {}


def test_reads_that_fall_silent_are_told_though_the_lens_is_dirty() -> None:
    played = Played()
    played.go(3, [Sign.HAZY, Sign.PLATE_PALE])
    assert set(played.go(0.2, None, reads=NONE)) == {Fault.DIRTY, Fault.FEW_READS}


def test_the_same_plate_again_and_again_and_simply_too_many() -> None:
    assert set(Played().go(1, [], shares=[Misread.REPEATED])) == {Fault.SAME_PLATE}
    many = Verdict(State.MANY, 0.0, 9.0, 300, 100.0)
    played = Played()
    assert played.go(3, [], reads=many) == {}
    assert set(played.go(4, [], reads=many)) == {Fault.MANY_READS}


def test_misreads_need_two_indicators_or_a_day_and_are_explained_by_a_bad_picture() -> None:
    two = [Misread.MISSHAPEN, Misread.DOUBTFUL]
    assert Played().go(2, [], shares=two) == {}
    assert set(Played().go(4, [], shares=two)) == {Fault.MISREADS}
    assert Played().go(20, [], shares=two[:1]) == {}
    assert set(Played().go(25, [], shares=two[:1])) == {Fault.MISREADS}
    assert set(Played().go(6, [Sign.BLURRED, Sign.PLATE_BLURRED], shares=two)) == {Fault.DEFOCUSED}


def test_a_quiet_road_is_no_cameras_fault() -> None:
    road = Verdict(State.ROAD_FEW, 0.0, 12.0, 0, 400.0, True)
    assert set(Played().go(7, None, reads=road)) == {Fault.ROAD_QUIET}


def test_a_wrong_clock_and_a_camera_lost_again_and_again() -> None:
    assert set(Played().go(0.5, [], skew_ms=-45_000)) == {Fault.CLOCK}
    assert Played().go(0.5, [], skew_ms=9_000) == {}
    played = Played()
    for drops in range(1, 5):
        assert played.go(0.5, [], drops=drops) == {}
    found = played.go(0.2, [], drops=5)
    assert set(found) == {Fault.DROPPING}
    assert found[Fault.DROPPING].since_s < played.at_s - 1800
    assert played.go(13, [], drops=5) == {}


def test_a_camera_that_is_down_is_accused_of_nothing_else() -> None:
    assert Played().go(12, [Sign.HAZY, Sign.PLATE_PALE], up=False, reads=NONE) == {}


def test_an_alarm_that_gets_a_better_name_keeps_its_beginning() -> None:
    played = Played()
    first = played.go(2, [Sign.HAZY, Sign.PLATE_PALE])[Fault.DIRTY]
    later = played.go(2, [Sign.HAZY, Sign.PLATE_PALE, Sign.MOVED])
    assert set(later) == {Fault.MOVED}
    assert (later[Fault.MOVED].since_s, later[Fault.MOVED].raised_s) == (first.since_s, first.raised_s)
    assert set(played.go(1, [Sign.HAZY, Sign.PLATE_PALE])) == {Fault.MOVED}  # less is seen: no new name


def test_a_signed_reset_voids_what_pictures_said_and_nothing_else() -> None:
    played = Played()
    played.go(2, [Sign.HAZY, Sign.PLATE_PALE], skew_ms=60_000)
    played.state.seen_anew()
    assert set(played.go(0.1, [], skew_ms=60_000)) == {Fault.CLOCK}


def test_state_is_plain_json_and_comes_back() -> None:
    played = Played()
    before = played.go(2, [Sign.HAZY, Sign.PLATE_PALE], reads=FEW)
    again = suspicion_restored(json.loads(json.dumps(played.state.kept())))
    assert again.alarms == before
    assert again.held == played.state.held
    after = Played(again, played.at_s).go(0.5, [Sign.HAZY, Sign.PLATE_PALE], reads=FEW)
    assert after[Fault.DIRTY].since_s == before[Fault.DIRTY].since_s
