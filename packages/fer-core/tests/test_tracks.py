"""Boxes linked to tracks and probabilities smoothed over time, without a video."""

from __future__ import annotations

import numpy as np
import pytest
from fer_core.faces import Detection
from fer_core.inference import Face
from fer_core.inference.tracks import Interval, Tracker, overlap

SIDE = 10.0


def face(left: float, top: float = 0.0, happy: float = 1.0) -> Face:
    label = "happy" if happy >= 0.5 else "sad"
    box = (left, top, left + SIDE, top + SIDE)
    probabilities = {"happy": happy, "sad": 1 - happy}
    return Face("clip", label, max(happy, 1 - happy), probabilities, 1, Detection(box=box, score=0.5))


def numbers(tracker: Tracker, time: float, *faces: Face) -> dict[float, int | None]:
    """Left edge of every face of a frame -> number of its track."""
    return {each.detection.box[0]: each.number for each in tracker.follow(time, faces)}


@pytest.mark.parametrize(
    ("other", "share"),
    [
        ((0, 0, 10, 10), 1),
        ((5, 0, 15, 10), 50 / 150),
        ((2, 4, 7, 8), 20 / 100),  # within
        ((-10, -10, 20, 10), 100 / 600),  # around
        ((10, 0, 20, 10), 0),  # side by side
        ((14, 17, 24, 27), 0),  # apart in both directions
    ],
)
def test_overlap_is_the_share_of_the_union(other, share) -> None:
    assert overlap((0, 0, 10, 10), other) == pytest.approx(share)
    assert overlap(other, (0, 0, 10, 10)) == pytest.approx(share)


def test_faces_that_cross_keep_their_numbers() -> None:
    """One walks to the right, one to the left a little lower; detectors list them from the left."""
    tracker = Tracker(smooth=0)
    for step in range(21):
        right, left = face(2.0 * step, 0), face(40 - 2.0 * step, 4)
        found = tracker.follow(0.1 * step, sorted((right, left), key=lambda each: each.detection.box))
        assert [each.number for each in found] == [1, 2]
        assert [each.detection.box[1] for each in found] == [0, 4]
    assert len(tracker.tracks) == 2


def test_of_two_faces_at_a_track_the_nearer_one_continues_it() -> None:
    tracker = Tracker(smooth=0)
    assert numbers(tracker, 0.0, face(10)) == {10: 1}
    assert numbers(tracker, 0.1, face(5), face(11)) == {5: 2, 11: 1}


def test_of_two_tracks_at_a_face_the_nearer_one_goes_on_and_the_other_waits() -> None:
    tracker = Tracker(smooth=0)
    assert numbers(tracker, 0.0, face(0), face(8)) == {0: 1, 8: 2}
    assert numbers(tracker, 0.1, face(5)) == {5: 2}
    assert numbers(tracker, 0.2, face(0), face(5)) == {0: 1, 5: 2}


def test_a_face_that_is_found_twice_in_a_frame_is_two_tracks() -> None:
    tracker = Tracker(smooth=0)
    tracker.follow(0.0, [face(0)])
    assert sorted(each.number for each in tracker.follow(0.1, [face(0), face(0)])) == [1, 2]


@pytest.mark.parametrize(("moved", "number"), [(5.0, 1), (-5.0, 1), (6.0, 2), (-6.0, 2)])
def test_a_face_that_jumps_is_another(moved, number) -> None:
    """Boxes 10 wide that are 5 apart share a third of their union, those 6 apart a quarter."""
    tracker = Tracker(smooth=0)
    tracker.follow(0.0, [face(50)])
    assert numbers(tracker, 0.1, face(50 + moved)) == {50 + moved: number}


def test_a_track_follows_the_last_box_and_not_the_first() -> None:
    tracker = Tracker(smooth=0)
    for step in range(30):
        assert numbers(tracker, 0.1 * step, face(3.0 * step)) == {3.0 * step: 1}
    assert numbers(tracker, 3.0, face(0)) == {0: 2}


@pytest.mark.parametrize(("gap", "number"), [(0.5, 1), (1.0, 1), (1.25, 2), (60.0, 2)])
def test_a_gap_of_up_to_a_second_is_bridged(gap, number) -> None:
    tracker = Tracker(smooth=0)
    tracker.follow(0.0, [face(0)])
    assert tracker.follow(gap / 2, []) == []
    assert numbers(tracker, gap, face(1)) == {1: number}
    first = tracker.intervals()[0]
    assert (first.end, first.frames) == ((gap, 2) if number == 1 else (0, 1))


def test_faces_that_come_and_go_leave_the_numbers_of_others_alone() -> None:
    tracker = Tracker(smooth=0)
    assert numbers(tracker, 0.0, face(50)) == {50: 1}
    assert numbers(tracker, 0.1, face(0), face(50)) == {0: 2, 50: 1}
    assert numbers(tracker, 0.2, face(0), face(25), face(50)) == {0: 2, 25: 3, 50: 1}
    for step in range(3, 20):
        assert numbers(tracker, 0.1 * step, face(25)) == {25: 3}
    assert numbers(tracker, 2.0, face(0), face(25), face(50)) == {0: 4, 25: 3, 50: 5}
    assert [each.track for each in tracker.intervals()] == [1, 2, 3, 4, 5]


def test_what_was_seen_counts_half_after_the_time_that_is_asked() -> None:
    tracker = Tracker(smooth=0.4)
    shown = [tracker.follow(0.4 * step, [face(0, happy=float(step == 0))])[0] for step in range(4)]
    assert [each.probabilities["happy"] for each in shown] == pytest.approx([1, 1 / 2, 1 / 4, 1 / 8])


def test_smoothing_is_a_weighted_mean_of_all_frames_whatever_their_times() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.02, 0.6, 12))
    happy, smooth = rng.uniform(0, 1, 12), 0.3
    tracker = Tracker(smooth)
    shown = [tracker.follow(t, [face(0, happy=p)])[0] for t, p in zip(times, happy.tolist(), strict=True)]
    kept = np.append(0, 0.5 ** (np.diff(times) / smooth))
    for last, each in enumerate(shown):
        weights = (1 - kept[: last + 1]) * 0.5 ** ((times[last] - times[: last + 1]) / smooth)
        assert weights.sum() == pytest.approx(1)
        expected = float(weights @ happy[: last + 1])
        assert each.probabilities == pytest.approx({"happy": expected, "sad": 1 - expected})
        assert each.label == ("happy" if expected > 0.5 else "sad")
        assert each.probability == max(each.probabilities.values())


def test_nothing_is_smoothed_where_nothing_is_asked_nor_between_faces() -> None:
    for smooth in (0, 5.0):
        tracker = Tracker(smooth)
        tracker.follow(0.0, [face(0, happy=0.9)])
        _, new = tracker.follow(0.1, [face(0, happy=0.9), face(50, happy=0.2)])
        assert new.probabilities == {"happy": 0.2, "sad": 0.8}
    raw = Tracker(0)
    for step, happy in enumerate((0.9, 0.1, 0.6)):
        assert raw.follow(0.1 * step, [face(0, happy=happy)])[0].probabilities["happy"] == happy


def test_a_face_keeps_all_but_its_number_and_probabilities() -> None:
    tracker = Tracker(1.0)
    tracker.follow(0.0, [face(0, happy=1.0)])
    given = face(2, 1, happy=0.2)
    (found,) = tracker.follow(0.1, [given])
    assert (found.source, found.detection) == (given.source, given.detection)
    assert (given.label, found.label) == ("sad", "happy")
    assert given.probabilities == {"happy": 0.2, "sad": 0.8}  # what was given is not changed
    assert [each.frames for each in tracker.intervals()] == [2]


def test_intervals_hold_the_mean_of_what_was_shown() -> None:
    tracker, happy = Tracker(0), (0.9, 0.7, 0.8, 0.1, 0.4, 0.6)
    for step, each in enumerate(happy):
        tracker.follow(0.5 * step, [face(0, happy=each), *([face(50, happy=0.0)] if step > 3 else [])])
    assert tracker.intervals() == [
        Interval(1, 0.0, 1.0, "happy", pytest.approx(0.8), 3),
        Interval(1, 1.5, 2.0, "sad", pytest.approx(0.75), 2),
        Interval(1, 2.5, 2.5, "happy", pytest.approx(0.6), 1),
        Interval(2, 2.0, 2.5, "sad", 1.0, 2),
    ]
