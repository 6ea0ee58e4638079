"""The folder of a run: it appears whole, takes nobody's place, and goes when nothing in it is worth keeping."""

from __future__ import annotations

import os
import stat
import tempfile
from datetime import datetime
from pathlib import Path

import pytest
from fer_core.config import Config
from fer_core.errors import FerError
from fer_core.runs import folder as run_folder

NOW = datetime(2026, 3, 4, 5, 6, 7)


def config_of(**run: object) -> Config:
    return Config.model_validate(
        {"model": {"name": "dan"}, "data": {"name": "bars"}, "train": {"seed": 3}, "run": run}
    )


def fill(folder: Path) -> None:
    (folder / "config.yaml").write_text("model: dan\n")


def create(**run: object) -> Path:
    return run_folder.create(config_of(**run), NOW, fill)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_is_called_by_model_dataset_time_and_seed(tmp_path) -> None:
    made = create(root=str(tmp_path / "runs"))
    assert made == tmp_path / "runs/dan-bars/20260304-050607-s3"
    assert (made / "config.yaml").read_text() == "model: dan\n"
    assert names(made.parent) == [made.name]


def test_runs_of_one_second_get_folders_of_their_own(tmp_path) -> None:
    made = [create(root=str(tmp_path)) for _ in range(3)]
    assert [path.name for path in made] == [f"20260304-050607-s3{end}" for end in ("", "-2", "-3")]
    assert names(tmp_path / "dan-bars") == sorted(path.name for path in made)


def test_a_run_may_have_a_folder_of_its_own_choice(tmp_path) -> None:
    made = create(dir=str(tmp_path / "deep/er/mine"), root=str(tmp_path / "runs"))
    assert made == tmp_path / "deep/er/mine"
    assert names(made) == ["config.yaml"]
    assert names(tmp_path) == ["deep"]


def test_a_folder_with_content_is_never_overwritten(tmp_path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep")
    for call in (create, lambda **run: run_folder.check(config_of(**run))):
        with pytest.raises(FerError) as caught:
            call(dir=str(mine))
        assert str(caught.value) == (
            f"the run folder {mine} exists: resume it with --resume {mine}, or choose another run.dir"
        )
    assert names(mine) == ["notes.txt"]
    assert names(tmp_path) == ["mine"]


def test_a_folder_is_as_open_to_others_as_the_umask_says(tmp_path) -> None:
    before = os.umask(0o027)
    try:
        made = create(root=str(tmp_path))
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.stat().st_mode) == 0o750


def test_a_folder_is_hidden_in_its_parent_until_it_is_whole(tmp_path) -> None:
    seen: list[Path] = []
    made = run_folder.create(config_of(root=str(tmp_path)), NOW, seen.append)
    (half,) = seen
    assert half.parent == made.parent
    assert half.name.startswith(".run-")
    assert not half.exists()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_parent_that_another_run_removes_is_made_again(tmp_path, monkeypatch, times) -> None:
    parent, made = tmp_path / "dan-bars", tempfile.mkdtemp
    left = [None] * times

    def mkdtemp(**options: object) -> str:
        if left:
            left.pop()
            parent.rmdir()
        return made(**options)

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    if times < 3:
        assert create(root=str(tmp_path)).parent == parent
    else:
        with pytest.raises(FerError, match=f"^cannot make the run folder {parent}.*No such file or directory"):
            create(root=str(tmp_path))


def test_a_folder_whose_content_fails_leaves_nothing(tmp_path) -> None:
    def failing(folder: Path) -> None:
        fill(folder)
        raise FerError("no more")

    with pytest.raises(FerError, match="no more"):
        run_folder.create(config_of(root=str(tmp_path)), NOW, failing)
    assert names(tmp_path / "dan-bars") == []


@pytest.mark.parametrize("key", ["root", "dir"])
def test_a_place_that_cannot_hold_a_folder_is_named(tmp_path, key) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "runs"
    with pytest.raises(FerError) as caught:
        run_folder.check(config_of(**{key: str(place)}))
    assert str(caught.value) == (
        f"cannot make the run folder {place} ({tmp_path / 'file'} is not a writable folder): "
        "choose a place with -o run.root=FOLDER"
    )
    with pytest.raises(FerError, match=r"cannot make the run folder .*\(Not a directory\): choose a place"):
        create(**{key: str(place / "below")})


def test_a_place_without_permission_is_refused_early(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path or mode != os.W_OK)
    with pytest.raises(FerError, match=f"{tmp_path} is not a writable folder"):
        run_folder.check(config_of(root=str(tmp_path / "a/b/c")))


def test_a_place_that_is_not_there_yet_will_do(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_folder.check(config_of(root=str(tmp_path / "a/b/c")))
    run_folder.check(config_of(root="relative/runs"))
    run_folder.check(config_of(dir="relative/mine"))
    run_folder.check(config_of(root=str(tmp_path)))
    assert names(tmp_path) == []


def failed(folder: Path, error: BaseException, **run: object) -> None:
    with pytest.raises(type(error)), run_folder.removed_unless_saved(folder, config_of(**run)):
        raise error


def test_a_run_that_fails_before_it_saved_anything_leaves_no_folder(tmp_path) -> None:
    folder = create(root=str(tmp_path / "runs"))
    failed(folder, FerError("no data"), root=str(tmp_path / "runs"))
    assert names(tmp_path) == []


def test_only_empty_folders_above_it_go_with_it(tmp_path) -> None:
    first, second = create(root=str(tmp_path / "runs")), create(root=str(tmp_path / "runs"))
    failed(second, FerError("no data"), root=str(tmp_path / "runs"))
    assert names(first.parent) == [first.name]


def test_the_folders_above_one_of_the_users_choice_stay(tmp_path) -> None:
    place = str(tmp_path / "mine" / "run")
    failed(create(dir=place), FerError("no data"), dir=place)
    assert names(tmp_path / "mine") == []


@pytest.mark.parametrize(
    "name", ["last.state.pt", "best.safetensors", "last.safetensors", "metrics.jsonl", "nonfinite.json"]
)
def test_what_training_saved_is_kept(tmp_path, name) -> None:
    folder = create(root=str(tmp_path))
    (folder / name).write_text("")
    failed(folder, FerError("the loss is not finite"), root=str(tmp_path))
    assert names(folder) == sorted(["config.yaml", name])


def test_a_bug_and_an_interruption_keep_the_folder(tmp_path) -> None:
    for error in (RuntimeError("a bug"), KeyboardInterrupt()):
        folder = create(root=str(tmp_path))
        failed(folder, error, root=str(tmp_path))
        assert names(folder) == ["config.yaml"]


def test_a_run_that_succeeds_keeps_its_folder(tmp_path) -> None:
    folder = create(root=str(tmp_path))
    with run_folder.removed_unless_saved(folder, config_of(root=str(tmp_path))):
        pass
    assert names(folder) == ["config.yaml"]


def test_of_several_processes_only_the_main_one_removes(tmp_path, monkeypatch) -> None:
    folder = create(root=str(tmp_path))
    monkeypatch.setattr("fer_core.distributed.is_main", lambda: False)
    failed(folder, FerError("no data"), root=str(tmp_path))
    assert names(folder) == ["config.yaml"]
