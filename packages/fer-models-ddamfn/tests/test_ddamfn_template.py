"""Alignment by the core, with the package's template, against figures made with the authors' script."""

from __future__ import annotations

import numpy as np
import pytest
from fer_core import registry
from fer_core.data.alignment import cut_face, fit_template
from fer_core.faces import Alignment

ALIGNMENT = Alignment(kind="points", template="ddamfn_pp", size=112)


@pytest.fixture
def template():
    return registry.find("templates", "ddamfn_pp")


def test_poses_are_the_authors(reference, template):
    assert reference.alignment["templates"] == np.array(template.poses).tolist()


@pytest.mark.parametrize("case", range(7))
def test_template_matrix_and_error_are_the_authors(reference, template, case):
    expected = reference.alignment["cases"][case]
    fit = fit_template(expected["landmarks"], template, 112)
    assert fit.pose == expected["template_index"]
    assert np.abs(fit.matrix - expected["matrix_2x3"])[:, :2].max() < 1e-5
    assert np.abs(fit.matrix - expected["matrix_2x3"])[:, 2].max() < 1e-4
    assert fit.residual == pytest.approx(expected["error_px"], abs=1e-4)


def test_fractions_of_detected_points_are_cut_off(reference, template):
    expected = reference.alignment["detected"]
    points = np.array(expected["landmarks"])  # ten numbers in a row
    fit = fit_template(points, template, 112)
    assert fit.pose == expected["template_index"]
    assert np.abs(fit.matrix - expected["matrix_2x3"])[:, 2].max() < 1e-4
    coarse = np.random.default_rng(0).integers(0, 256, (26, 26, 3), dtype=np.uint8)
    photo = coarse.repeat(20, axis=0).repeat(20, axis=1)
    whole = cut_face(photo, ALIGNMENT, points=np.trunc(points))
    assert np.array_equal(cut_face(photo, ALIGNMENT, points=points), whole)
    assert whole.shape == (112, 112, 3)
