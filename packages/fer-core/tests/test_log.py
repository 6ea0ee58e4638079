"""What `fer_core` says is logged: for any program that imports it, in `log.txt`, and on the terminal."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import fer_core
import pytest
from click.testing import CliRunner
from fer_core import api, distributed
from fer_core.cli.logs import add_verbosity, logs_on_terminal
from fer_core.cli.main import main
from fer_core.data.progress import shows_bars
from fer_core.errors import FerError
from fer_core.runs.log import RunLog
from fer_core.training.loop import Loop

CORE, SAID = logging.getLogger("fer_core"), logging.getLogger("fer_core.tests")
TRAIN = ("train", "tiny", "bars", "--device", "cpu", "-o", "train.epochs=1", "-o", "run.dir=run")


@pytest.fixture(autouse=True)
def left_as_it_was():
    """Whatever a test does, the logger has the handlers and levels that it had before."""
    before = (CORE.handlers.copy(), CORE.propagate, CORE.level)
    yield
    assert (CORE.handlers, CORE.propagate, CORE.level) == before


@contextmanager
def at_level(logger: logging.Logger, level: int) -> Iterator[None]:
    """`logger` has a level of its own within."""
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(logging.NOTSET)


def fer_run(*arguments: str):
    return CliRunner().invoke(main, arguments)


def log_of(folder: str | Path) -> list[str]:
    return Path(folder, "log.txt").read_text().splitlines()


def test_a_program_gets_records_by_level_and_module(tiny, quick, caplog) -> None:
    quick |= {"train": {"epochs": 1, "select": "best:test"}, "callbacks": ["progress"]}
    with caplog.at_level(logging.INFO, logger="fer_core"):
        fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "run"})
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.getMessage().startswith("the epoch is chosen on the test split")
    (epoch,) = [record for record in caplog.records if record.getMessage().startswith("epoch 1/1")]
    assert (epoch.name, epoch.levelname) == ("fer_core.training.callbacks", "INFO")


def test_without_a_word_on_logging_a_program_hears_of_warnings_alone(tiny, quick, monkeypatch) -> None:
    """Python's handler of last resort shows them, although `log.txt` is a handler, too."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
    quick["train"] = {"epochs": 1, "select": "best:test"}
    fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "run"})
    (line,) = shown.getvalue().splitlines()
    assert line.startswith("the epoch is chosen on the test split")
    assert f"warning  {line}" in log_of("run")
    assert log_of("run")[-1].startswith("written  run")


def test_the_log_of_a_run_has_every_line(tiny, quick, lines) -> None:
    quick["data"] = {**quick["data"], "classes": ["sadness", "neutral"]}
    fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "run"})
    assert lines[0].startswith("classes  bars: happiness")  # before there was a folder
    assert lines[-1].startswith("written  run: result.json")
    assert log_of("run") == lines


@pytest.mark.parametrize("level", [logging.WARNING, logging.CRITICAL])
def test_the_log_of_a_run_is_whole_when_a_program_wants_less(tiny, quick, caplog, level) -> None:
    quick["train"] = {"epochs": 1, "select": "best:test"}
    with at_level(CORE, level):
        fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "run"})
    assert len(caplog.messages) == (level == logging.WARNING)
    assert log_of("run")[-1].startswith("written  run")


def test_a_level_below_the_logger_is_heeded_within_a_run(caplog) -> None:
    with at_level(SAID, logging.DEBUG), RunLog():
        SAID.debug("a detail")
        CORE.info("not asked for")
    assert caplog.messages == ["a detail"]


def test_a_level_far_above_a_logger_holds_within_a_run(caplog) -> None:
    """The logger that speaks has no level of its own; the nearest one above it that has decides."""
    with at_level(logging.getLogger("fer_core.far"), logging.DEBUG), RunLog():
        logging.getLogger("fer_core.far.below").debug("a detail")
        SAID.debug("not asked for")
    assert caplog.messages == ["a detail"]


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING])
def test_levels_are_those_of_before_when_a_run_ends(level) -> None:
    with at_level(CORE, level):
        with RunLog():
            assert CORE.level == min(level, logging.INFO)
        assert CORE.level == level


def test_a_run_within_a_run_has_lines_of_its_own(tmp_path) -> None:
    (tmp_path / "inner").mkdir()
    with RunLog() as outer:
        outer.open(tmp_path)
        with RunLog() as inner:
            inner.open(tmp_path / "inner")
            SAID.info("within")
        SAID.info("after")
    assert log_of(tmp_path / "inner") == ["within"]
    assert log_of(tmp_path) == ["within", "after"]


def test_text_that_no_file_can_hold_is_escaped_in_the_log(tmp_path) -> None:
    """A file name of a foreign system arrives as a lone surrogate."""
    with RunLog() as log:
        log.open(tmp_path)
        SAID.info("face-\udce9.png, grün")
    assert (tmp_path / "log.txt").read_bytes() == "face-\\udce9.png, grün\n".encode()


def test_a_log_continues_after_what_is_there(tmp_path) -> None:
    (tmp_path / "log.txt").write_text("of before\n")
    with RunLog() as log:
        log.open(tmp_path)
        assert log_of(tmp_path) == ["of before"]
        SAID.warning("of now")
    assert log_of(tmp_path) == ["of before", "warning  of now"]


def test_two_runs_in_a_process_have_a_log_each(tiny, quick, monkeypatch) -> None:
    original = Loop.step

    def dying(self, batch):
        if self.position.step == 8:
            raise KeyboardInterrupt
        original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "step", dying)
        with pytest.raises(KeyboardInterrupt):
            fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "one"})
    first = log_of("one")
    fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "two"})
    assert log_of("one") == first
    assert sum(line.startswith("model ") for line in log_of("two")) == 1
    api.resume("one")
    resumed = log_of("one")
    assert resumed[: len(first)] == first
    assert resumed[len(first)].startswith("resumed after ")


def test_a_run_that_is_refused_leaves_no_handler(tiny, quick, lines) -> None:
    quick["data"] = {**quick["data"], "classes": ["sadness"]}
    with pytest.raises(FerError, match="leave at least two"):
        fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "run"})
    lines.clear()
    SAID.info("afterwards")
    assert lines == ["afterwards"]


def test_a_handler_that_is_added_within_a_run_stays(tmp_path) -> None:
    handler = logging.NullHandler()
    with RunLog():
        CORE.addHandler(handler)
    assert handler in CORE.handlers
    CORE.removeHandler(handler)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_worker_process_writes_nothing_into_the_log(tmp_path, lines) -> None:
    with RunLog() as log:
        log.open(tmp_path / "absent")
        SAID.info("waits for room")
        (tmp_path / "absent").mkdir()
        child = os.fork()
        if child == 0:
            SAID.info("from a worker")
            os._exit(0)
        os.waitpid(child, 0)
        SAID.info("from the run")
    assert log_of(tmp_path / "absent") == ["waits for room", "from the run"]


def test_of_several_processes_the_main_one_logs(tmp_path, lines, monkeypatch) -> None:
    monkeypatch.setattr(distributed, "is_main", lambda: False)
    with RunLog() as log:
        log.open(tmp_path)
        SAID.warning("said by the main process, too")
    assert lines == []
    assert not (tmp_path / "log.txt").exists()


@pytest.mark.parametrize(("rank", "shown"), [("0", "warning  heard once\n"), ("1", "")])
def test_of_several_processes_the_first_one_shows_lines(rank, shown, monkeypatch, capsys) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    with logs_on_terminal():
        SAID.warning("heard once")
    assert capsys.readouterr() == ("", shown)


def test_a_line_is_shown_once_where_a_library_configures_logging(capsys, monkeypatch) -> None:
    with logs_on_terminal():
        root = logging.StreamHandler()
        monkeypatch.setattr(logging.getLogger(), "handlers", [root])
        SAID.warning("once")
    assert capsys.readouterr().err == "warning  once\n"


def test_nobody_reads_the_terminal_any_more(monkeypatch, tmp_path) -> None:
    def broken(*given: object, **options: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(click, "echo", broken)
    with logs_on_terminal(), RunLog() as log:
        log.open(tmp_path)
        SAID.info("kept")
    assert log_of(tmp_path) == ["kept"]


def test_a_command_logs_on_standard_error(tiny, quick) -> None:
    done = fer_run(*TRAIN)
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    assert done.stderr.splitlines() == log_of("run")


def test_a_quiet_command_shows_warnings_and_results_and_keeps_the_log(tiny, quick) -> None:
    done = fer_run(*TRAIN, "--quiet", "-o", "train.select=best:test")
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning  the epoch is chosen on the test split")
    assert log_of("run")[-1].startswith("written  run")
    done = fer_run("-q", "evaluate", "run", "bars", "--device", "cpu")
    assert done.stderr == ""
    assert "mean class accuracy" in done.stdout


def test_a_verbose_command_shows_details(tiny, quick) -> None:
    done = fer_run(*TRAIN, "-v")
    for lines in (done.stderr.splitlines(), log_of("run")):
        assert sum(line.startswith("saved    last.state.pt after step") for line in lines) == 1
        assert any(line.startswith("packed ") and "/packs/" in line for line in lines)


def test_quiet_and_verbose_exclude_each_other() -> None:
    for arguments in (("list", "-q", "-v"), ("--quiet", "data", "list", "--verbose")):
        done = fer_run(*arguments)
        assert done.exit_code == 2
        assert "exclude each other" in done.stderr


def test_every_command_is_quiet_or_verbose_and_keeps_its_own_options() -> None:
    @click.group()
    def group() -> None:
        pass

    @group.command()
    @click.option("-v", "--value", default="none")
    def below(value: str) -> None:
        SAID.info("said")
        SAID.debug("in detail")
        click.echo(value)

    add_verbosity(group)
    add_verbosity(group)  # a command is looked up more than once
    assert [option.opts for option in below.params[1:]] == [["-q", "--quiet"], ["--verbose"]]
    for arguments, shown in ((["-v", "own"], "said\n"), (["--verbose"], "said\nin detail\n"), (["-q"], "")):
        with logs_on_terminal():
            done = CliRunner().invoke(group, ["below", *arguments])
        assert (done.exit_code, done.stderr) == (0, shown)


def test_bars_are_drawn_on_a_terminal_unless_they_are_switched_off(monkeypatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    assert shows_bars()
    with logs_on_terminal():
        CliRunner().invoke(main, ["list", "devices", "--quiet"])
        assert shows_bars()
    with at_level(logging.getLogger("fer_core.progress"), logging.WARNING):
        assert not shows_bars()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not shows_bars()
