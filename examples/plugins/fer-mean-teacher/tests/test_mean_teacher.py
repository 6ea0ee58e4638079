import fer_core
import pytest
from fer_core.testing import check_plugin, check_processes, check_resume

SMALL = {
    "data": {"options": {"samples": 200}, "fraction": 0.5},
    "optimizer": {"name": "sgd", "lr": 0.05},
    "train": {"trainer": {"name": "mean_teacher", "decay": 0.9}, "epochs": 2, "precision": "fp32"},
    "callbacks": [],
}


def test_the_plugin_is_sound():
    check_plugin("fer-mean-teacher")


def test_an_interrupted_run_resumes_to_the_same_bytes_and_the_teacher_is_saved(tmp_path):
    state = check_resume("tinynet", "shapes", tmp_path, **SMALL)
    for name, value in fer_core.load_model(tmp_path / "whole" / "last.safetensors").network.named_parameters():
        assert value.equal(state[f"extra.teacher.{name}"])
        assert not value.equal(state[f"model.{name}"])


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    check_processes("tinynet", "shapes", tmp_path, **SMALL)


def test_without_images_that_are_left_out_it_says_what_to_do(tmp_path):
    with pytest.raises(fer_core.FerError, match="MeanTeacher has no further images to load"):
        check_resume("tinynet", "shapes", tmp_path, **SMALL | {"data": {}})
