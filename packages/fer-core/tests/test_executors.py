"""Executors that a plugin brings: what executes the runs of an experiment."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fer_core.cli import main
from fer_core.plugins import load_plugins

EXECUTORS = """
class Odd:
    '''Executes the runs with an even seed here; the others are lost, or fail as the option says.'''
    def __init__(self, *, fault: str = "", wait: float = 0.0):
        self.fault = fault

    def execute(self, runs, device):
        from fer_core.plugin import run_here

        for run in runs:
            if run.seed % 2 == 0:
                yield run, run_here(run, device)
            elif self.fault == "raises":
                raise OSError("the queue is\\nclosed")
            elif self.fault == "exits":
                raise SystemExit(0)
            elif self.fault == "refuses":
                raise FerError("the queue is closed: come back tomorrow")
            elif self.fault == "fails":
                yield run, "the node lost power"
            elif self.fault == "lies":
                yield run, ""

@hookimpl
def fer_executors():
    return {"odd": Odd}
"""
OVERRIDES = ("data.input_size=16", "train.epochs=1", "train.steps=1", "callbacks=[]")


@pytest.fixture
def odd(site, monkeypatch):
    """The plugin is installed; a run needs no training but leaves a result."""
    site.install("fer-odd", EXECUTORS, version="1.5")
    load_plugins()
    monkeypatch.setattr("fer_core.experiments.execute.Attempt", Instant)


class Instant:
    """In the place of a process: it succeeds at once, and its files are those of a run that was made before."""

    def __init__(self, run, device, environment) -> None:
        self.run = run

    def lock(self) -> bool:
        return True

    def start(self, warm: None) -> None:
        self.run.folder.mkdir(parents=True)
        (self.run.folder / "result.json").write_bytes(Path("done/result.json").read_bytes())

    def poll(self) -> int:
        return 0

    def stop(self, number: int = 15) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def done(odd, tiny, quick) -> None:
    """A finished run, in the folder `done`."""
    import fer_core

    fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"steps": 1}, "run": {"dir": "done"}})


def experiment(*arguments: str, fault: str = "") -> Result:
    Path("odd.yaml").write_text(f"models: [tiny]\ndatasets: [bars]\nexecutor: {{name: odd, fault: '{fault}'}}\n")
    words = [word for override in OVERRIDES for word in ("-o", override)]
    return CliRunner().invoke(main, ["experiment", "odd.yaml", *words, "--device", "cpu", *arguments])


def results() -> list[str]:
    return sorted(path.parent.name[:11] for path in Path("runs").rglob("result.json"))


def test_it_executes_what_is_left_and_the_files_decide(done, lines) -> None:
    first = experiment("--seeds", "0")
    assert first.exit_code == 0, first.output
    assert results() == ["official-s0"]
    assert (next(Path("runs").rglob("result.json")).parent / "experiment.json").is_file()
    again = experiment("--seeds", "0,2")
    assert again.exit_code == 0, again.output
    assert results() == ["official-s0", "official-s2"]
    assert "official-s0" in (told := next(line for line in again.stderr.splitlines() if "already" in line))
    assert told.startswith("[1/2]")


@pytest.mark.parametrize(
    ("fault", "status", "told"),
    [
        ("raises", 2, "executor 'odd' of fer-odd 1.5 failed (OSError: the queue is closed): correct the plugin"),
        ("exits", 2, "executor 'odd' of fer-odd 1.5 failed (SystemExit: 0)"),
        ("refuses", 2, "Error: the queue is closed: come back tomorrow"),
        ("fails", 1, "failed: the node lost power"),
        ("lies", 1, "failed: it ended without result.json"),
        ("forgets", 1, "failed: the executor odd did not say how it ended"),
    ],
)
def test_a_run_that_it_loses_is_told_and_the_others_are_kept(done, fault, status, told) -> None:
    found = experiment("--seeds", "0-1", fault=fault)
    assert found.exit_code == status, found.output
    assert told in found.stderr
    assert "Traceback" not in found.output
    assert results() == ["official-s0"]


def test_its_options_are_checked_before_anything_is_read(odd, tiny) -> None:
    for option, told in (("wait: soon", "executor.wait is soon"), ("weight: 1", "did you mean wait?")):
        Path("mine.yaml").write_text(f"models: [tiny]\ndatasets: [bars]\nexecutor: {{name: odd, {option}}}\n")
        found = CliRunner().invoke(main, ["experiment", "mine.yaml", "--dry-run"])
        assert found.exit_code == 2
        assert told in found.stderr
        other = CliRunner().invoke(main, ["experiment", "mine.yaml", "--on", "local", "--jobs", "2", "--dry-run"])
        assert other.exit_code == 0, other.output
