import pytest
from fer_core.testing import check_plugin, check_processes, check_resume

SMALL = {
    "data": {"options": {"samples": 200}},
    "optimizer": {"name": "sgd", "lr": 0.05},
    "train": {"trainer": {"name": "co_teaching", "gradual": 1}, "epochs": 3, "precision": "fp32"},
    "callbacks": [],
}


def test_the_plugin_is_sound():
    check_plugin("fer-co-teaching")


def test_an_interrupted_run_resumes_to_the_same_bytes_and_counts_what_was_left_out(tmp_path):
    state = check_resume("tinynet", "shapes", tmp_path, **SMALL)
    left_out = state["extra.left_out._extra_state"]  # 3 batches of 40 in an epoch; one in five from the second on
    assert left_out.shape == (120,)
    assert left_out.sum() == 2 * 3 * 8
    assert not state["model.classifier.weight"].equal(state["extra.second.classifier.weight"])


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    assert check_processes("tinynet", "shapes", tmp_path, **SMALL)["extra.left_out._extra_state"].any()
