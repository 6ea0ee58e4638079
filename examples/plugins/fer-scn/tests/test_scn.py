import pytest
from fer_core.testing import check_plugin, check_processes, check_resume

SMALL = {
    "data": {"input_size": 32, "batch_size": 40, "options": {"samples": 200}},
    "loss": {"name": "scn", "relabel_from": 1, "certainty": 0.02},
    "train": {"epochs": 3, "precision": "fp32"},
    "callbacks": [],
}


def test_the_plugin_is_sound():
    check_plugin("fer-scn")


def test_an_interrupted_run_resumes_to_the_same_bytes(tmp_path):
    labels = check_resume("scn", "shapes", tmp_path, **SMALL)["loss.labels._extra_state"]
    assert 0 < (labels >= 0).sum() < 120


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    assert (check_processes("scn", "shapes", tmp_path, **SMALL)["loss.labels._extra_state"] >= 0).any()
