"""States of runs: whatever is altered is one line that names file and place, and nothing is resumed from it."""

import json
import shutil
import warnings
import zipfile
from pathlib import Path

import fer_core
import pytest
import torch
from click.testing import CliRunner
from fer_core import api
from fer_core.cli import main
from fer_core.errors import FerError
from fer_core.runs.records import Environment
from fer_core.runs.state import MAX_ENTRIES, describe, read_state
from fer_core.training import loop
from fer_core.weights import checkpoint


class Killed(BaseException):
    pass


@pytest.fixture
def killed(tiny, quick, monkeypatch) -> Path:
    """A run that was killed in its third epoch."""
    original = loop.Loop.step

    def dying(self, batch):
        if self.position.step == 9:
            raise Killed
        original(self, batch)

    quick |= {"train": {"epochs": 4, "save_every": 2, "ema": 0.9}, "callbacks": ["early_stopping"]}
    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "step", dying)
        with pytest.raises(Killed):
            fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "run"})
    return tiny / "run"


def altered(path: Path, **entries: object) -> None:
    """Replace entries of a state; what is None is left out."""
    content = torch.load(path, weights_only=True) | entries
    torch.save({key: value for key, value in content.items() if value is not None}, path)


def envelope(path: Path, *place: str | int, to: object) -> str:
    """The envelope of a state with another value at a place."""
    tree = json.loads(torch.load(path, weights_only=True)["envelope"])
    inner = tree
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = to
    return json.dumps(tree)


def refused(run: Path) -> str:
    done = CliRunner().invoke(main, ["train", "--resume", str(run)])
    assert done.exit_code == 2, done.output
    (line,) = [text for text in done.output.splitlines() if text.startswith("Error: ")]
    return line


def test_every_altered_entry_is_one_line_and_the_state_stays(killed: Path) -> None:
    path, whole = killed / "last.state.pt", killed.with_name("whole.pt")
    shutil.copy(path, whole)
    state = torch.load(path, weights_only=True)
    own, base = state["optimizers"][0]["state"], state["optimizers"][0]["param_groups"]
    looped: dict[str, object] = {}
    looped["self"] = looped
    cases = [
        ({"envelope": None}, "another version"),
        ({"envelope": 3}, "another version"),
        ({"envelope": "{"}, "not valid JSON"),
        ({"envelope": envelope(path, "position", "step", to=10**9)}, "is not a position in 16 steps"),
        (
            {"envelope": envelope(path, "position", "batch", to=1.5)},
            "position.batch is 1.5, expected a",
        ),
        ({"envelope": envelope(path, "position", "step", to=3)}, "position.step is 3, expected at least 8"),
        ({"envelope": envelope(path, "best", "step", to=7)}, "best.step is 7, expected the step of an evaluation"),
        ({"envelope": envelope(path, "history", 0, "step", to=8)}, "history is a list of 2"),
        ({"envelope": envelope(path, "stop", to="x\n")}, "stop is"),
        ({"envelope": envelope(path, "identity", "data", "split", to="0" * 64)}, "restore them"),
        ({"task": {**state["task"], "model.head.bias": torch.zeros(4)}}, 'task.model.head.bias is "float32[4]"'),
        ({"task": {"model.head.bias": torch.zeros(3)}}, 'is "missing", expected'),
        ({"task": None}, 'task is "missing"'),
        ({"surplus": torch.zeros(1)}, 'surplus is "float32[1]", expected "nothing"'),
        ({"optimizers": [{"state": {**own, 0: {}}, "param_groups": base}]}, "optimizers.0.state.0.exp_avg"),
        (
            {"optimizers": [{"state": own, "param_groups": [{**base[0], "lr": "fast"}]}]},
            "optimizers.0.param_groups.0.lr",
        ),
        ({"schedulers": [{**state["schedulers"][0], "last_epoch": 99}]}, 'schedulers.0.last_epoch is "99"'),
        ({"ema": {**state["ema"], "updates": -1}}, 'ema.updates is "-1"'),
        ({"callbacks": {}}, "callbacks"),
        ({"sums": {"loss": torch.zeros(1).expand(10**10)}}, "is a tensor that is larger than the file"),
        ({"sums": looped}, "nested too deeply"),
    ]
    for entries, says in cases:
        shutil.copy(whole, path)
        altered(path, **entries)
        before = path.read_bytes()
        line = refused(killed)
        assert says in line, (says, line)
        assert line.isprintable()
        assert path.read_bytes() == before
    shutil.copy(whole, path)
    assert api.resume(killed).result.last.step == 16


def test_files_that_cannot_be_states(killed: Path) -> None:
    path = killed / "last.state.pt"
    content = torch.load(path, weights_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, path, _use_new_zipfile_serialization=False)
    with pytest.raises(FerError, match="cannot be read"):
        read_state(path)
    torch.save(content, path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(killed / "packed", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    (killed / "packed").replace(path)
    with pytest.raises(FerError, match="it is compressed"):
        read_state(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(FerError, match="is not a regular file"):
        read_state(path)


def test_what_holds_itself_or_too_much_ends_the_description() -> None:
    twice: list[object] = [1]
    for _ in range(40):
        twice = [twice, twice]
    with pytest.raises(ValueError, match="nested too deeply"):
        dict(describe({"a": twice}))
    with pytest.raises(ValueError, match="more than"):
        dict(describe({"a": [0] * (MAX_ENTRIES + 1)}))
    with pytest.raises(ValueError, match="a is object, which is neither a tensor nor a plain value"):
        dict(describe({"a": object()}))


def test_resuming_keeps_the_components_that_the_run_began_with(killed: Path) -> None:
    path = killed / "env.json"
    stored = Environment.read(path, "")
    assert {(of.kind, of.name, of.distribution) for of in stored.components} >= {
        ("models", "tiny", "fer-tests"),
        ("losses", "cross_entropy", "fer-core"),
        ("optimizers", "adamw", "fer-core"),
        ("callbacks", "early_stopping", "fer-core"),
    }
    older = tuple(of.model_copy(update={"version": "0.0.9"}) for of in stored.components)
    path.write_text(stored.model_copy(update={"components": older}).text())
    done = api.resume(killed)
    header = checkpoint.read_header(done.folder / "last.safetensors")
    assert {of.version for of in (*header.components, *done.result.components)} == {"0.0.9"}
    assert not any(of.kind == "callbacks" for of in header.components)
