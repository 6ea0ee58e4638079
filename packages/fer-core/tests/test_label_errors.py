import numpy as np
import pytest
from fer_core.errors import FerError
from fer_core.statistics import find_label_errors

RNG = np.random.default_rng


def planted(seed, faces=3000, classes=5, share=0.1, noise=1.0, pull=3.5):
    """Probabilities of a good but noisy classifier, true labels, and given ones of which a share is wrong."""
    rng = RNG(seed)
    true = rng.integers(0, classes, faces)
    logits = noise * rng.normal(size=(faces, classes))
    logits[np.arange(faces), true] += pull
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given = true.copy()
    wrong = rng.choice(faces, round(share * faces), replace=False)
    given[wrong] = (true[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return scores, given, true, wrong


@pytest.mark.parametrize("seed", range(3))
def test_planted_errors_are_found_and_named(seed):
    scores, given, true, wrong = planted(seed)
    found = find_label_errors(scores, given)
    hit = np.isin(found.places, wrong)
    assert hit.sum() / len(wrong) > 0.9
    assert hit.mean() > 0.7
    assert (found.likely[hit] == true[found.places[hit]]).mean() > 0.9
    # The ranking is of use: the first half holds hardly anything else.
    assert hit[: len(wrong) // 2].mean() > 0.95
    off = found.joint.sum() - np.trace(found.joint)
    assert found.joint.sum() == pytest.approx(1)
    assert off == pytest.approx(0.1, abs=0.03)


def test_figures_of_suspects_are_those_of_the_table():
    scores, given, _, _ = planted(3)
    found = find_label_errors(scores, given)
    own = scores[found.places, given[found.places]]
    assert found.self_confidence == pytest.approx(own)
    assert found.margin == pytest.approx(own - scores[found.places, found.likely])
    assert (np.diff(found.margin) >= 0).all()
    assert (found.margin < 0).all()
    assert (scores[found.places].argmax(axis=1) != given[found.places]).all()
    assert len(set(found.places)) == len(found.places)


def test_the_confident_joint_is_the_papers_by_hand():
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.4, 0.6], [0.3, 0.7]])
    given = np.array([0, 0, 0, 1, 1, 1])
    found = find_label_errors(scores, given)
    assert found.thresholds == pytest.approx([0.6, (0.9 + 0.6 + 0.7) / 3])
    # Confident of class 0: faces 0 and 1; of class 1 (0.733 and more): faces 2 and 3. Rows scale to three each.
    assert found.joint == pytest.approx(np.array([[2, 1], [0, 3]]) / 6)
    assert found.places.tolist() == [2]
    assert found.likely.tolist() == [1]


def test_right_labels_and_a_sure_network_raise_no_suspicion():
    scores, _, true, _ = planted(0, noise=0.3, pull=6)
    assert len(find_label_errors(scores, true).places) == 0


def test_a_class_without_faces_is_never_likely():
    scores, given, _, _ = planted(1)
    kept = given != 2
    found = find_label_errors(scores[kept], given[kept])
    assert np.isinf(found.thresholds[2])
    assert 2 not in found.likely
    assert found.joint[2].sum() == 0


def test_bad_input_is_one_line():
    with pytest.raises(FerError, match="there is no face"):
        find_label_errors(np.zeros((0, 3)), [])
    with pytest.raises(FerError, match="not numbers"):
        find_label_errors([[np.nan, 1.0]], [0])
    with pytest.raises(FerError, match="labels reach from 0 to 2"):
        find_label_errors([[0.5, 0.5]] * 2, [0, 2])
    with pytest.raises(ValueError, match="do not fit"):
        find_label_errors([[0.5, 0.5]], [0, 1])
