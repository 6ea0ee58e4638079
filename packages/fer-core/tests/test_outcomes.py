"""How commands end: exit statuses, one line for what nobody foresaw, and the crash file that it names."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fer_core.cli import main
from fer_core.cli.options import print_json
from fer_core.errors import ExitStatus, FerError, IncompleteError, InterruptedRunError

PLUGIN = """
import sys, threading, time
import click

@hookimpl
def fer_commands():
    return [CommandSpec(name=name, ref=f"a_plugin_module:{name}", help=name)
            for name in ("fail", "deep", "empty", "thread", "worker", "wait", "leave", "refuse", "odd")]

class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")

@click.command()
@click.argument("message", default="a\\nb")
def fail(message):
    print("begun")
    raise ValueError(message)

@click.command()
def deep():
    def fall(): fall()
    fall()

@click.command()
def empty():
    raise EOFError("ran out of input")

@click.command()
def thread():
    worker = threading.Thread(target=lambda: 1 / 0)
    worker.start()
    worker.join()
    print("done")

@click.command()
def worker():
    from torch.utils.data import DataLoader

    class Images:
        def __len__(self):
            return 1

        def __getitem__(self, row):
            return {}["nose"]

    list(DataLoader(Images(), num_workers=1))

@click.command()
def wait():
    print("waiting", flush=True)
    time.sleep(600)

@click.command()
def leave():
    sys.exit(5)

@click.command()
def refuse():
    raise click.ClickException("not so")

@click.command()
def odd():
    raise Odd

@hookimpl
def fer_datasets():
    return [DatasetSpec(name="quitter", factory=lambda root: sys.exit(0), classes=(), splits={}, layouts={},
        expected_counts={}, summary="", licence="", homepage="", needs_root=False)]
"""


@pytest.fixture
def cache(site, tmp_path, monkeypatch) -> Path:
    """The plugin above is installed; this is the cache."""
    site.install("a-plugin", PLUGIN, version="2.3")
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def crashed(result: Result) -> tuple[str, str]:
    """The one line of an unforeseen exception, and what stands in the file that it names."""
    assert result.exit_code == ExitStatus.FAULT, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    (path,) = re.findall(r"report it with (.+\.txt)$", line)
    return line, Path(path).read_text()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("fail", "Error: ValueError: a b: a bug in the plugin a-plugin 2.3, not in your input"),
        ("deep", "Error: RecursionError: maximum recursion depth exceeded"),
        ("empty", "Error: EOFError: ran out of input: a bug in the plugin a-plugin 2.3"),
        ("thread", "Error: ZeroDivisionError: division by zero: a bug in the plugin a-plugin 2.3"),
        ("worker", "Error: KeyError: 'nose': a bug in the plugin a-plugin 2.3"),
        ("odd", "Error: Odd: <exception str() failed>"),
    ],
)
def test_an_unforeseen_exception_is_one_line_and_a_crash_file(cache, command, expected) -> None:
    line, text = crashed(run(command))
    assert line.startswith(expected)
    assert "Traceback (most recent call last):" in text
    assert "a_plugin_module.py" in text
    assert "fer-core 0" in text
    assert "a-plugin 2.3" in text
    assert [file.parent for file in cache.rglob("*.txt")] == [cache / "crashes"]


def test_a_fault_of_the_core_names_no_plugin(cache, monkeypatch) -> None:
    def fail() -> None:
        raise MemoryError

    monkeypatch.setattr("fer_core.cli.list_.load_plugins", fail)
    line, _ = crashed(run("list"))
    assert line.startswith("Error: MemoryError: a bug in fer or in a plugin, not in your input")


def test_a_crash_file_keeps_secrets_out(cache, monkeypatch) -> None:
    monkeypatch.setenv("TEST_API_KEY", "abc-secret-1")
    message = "abc-secret-1 wandb_token=tok2 s3://me:pass3@host {'password': 'word4', 'epochs': 5}"
    text = crashed(run("fail", message))[1]
    for secret in ("abc-secret-1", "tok2", "pass3", "word4"):
        assert secret not in text
    assert "'epochs': 5" in text
    assert "TEST_API_KEY" not in text


def test_a_crash_file_goes_to_the_temporary_folder_where_the_cache_cannot_be_written(
    cache, tmp_path, monkeypatch
) -> None:
    cache.write_text("not a folder")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    result = run("fail")
    assert result.exit_code == 70
    assert (
        "no crash file could be written (FileNotFoundError): set FER_DEBUG=1 to see the traceback" in result.stderr
    )
    (tmp_path / "temporary").mkdir()
    crashed(run("fail"))
    assert list((tmp_path / "temporary").glob("crash-*.txt"))


@pytest.mark.parametrize("name", ["FER_DEBUG", "FER_STRICT"])
def test_debugging_raises(cache, monkeypatch, name) -> None:
    monkeypatch.setenv(name, "1")
    result = run("fail")
    assert isinstance(result.exception, ValueError)
    assert not cache.exists()


def test_only_a_command_of_a_plugin_may_exit(cache) -> None:
    assert run("leave").exit_code == 5
    line, _ = crashed(run("data", "check", "quitter"))
    assert line.startswith("Error: SystemExit: 0: a bug in dataset 'quitter' of a-plugin 2.3")


def test_mistakes_on_the_command_line_end_with_2(cache) -> None:
    assert run("list", "--nothing").exit_code == 2
    assert run("--nothing").exit_code == 2
    assert run("train", "--seed", "many").exit_code == 2
    refused = run("refuse")
    assert (refused.exit_code, refused.stderr) == (2, "Error: not so\n")


def test_a_command_that_is_none(site) -> None:
    command = "CommandSpec(name='f', ref='a_plugin_module:f', help='')"
    site.install("a-plugin", f"def f(): ...\n@hookimpl\ndef fer_commands(): return [{command}]")
    result = run("f")
    assert result.exit_code == 2
    assert "which is not a click command" in result.stderr


def test_errors_carry_their_status() -> None:
    assert FerError("x").exit_status == 2
    assert IncompleteError("x").exit_status == 1
    assert InterruptedRunError("x", 15).exit_status == 143


def test_json_is_strict() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"accuracy": float("nan")})


def test_every_status_is_in_the_reference() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/outcomes.md").read_text()
    told = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert told == {int(status) for status in ExitStatus} - {128} | {128 + number for number in (2, 13, 15)}


# --- real processes: what a runner in this process cannot show


def fer_run(site, *arguments: str, **options) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(site.root)}
    return subprocess.Popen(
        [sys.executable, "-m", "fer_core", *arguments], env=environment, stderr=subprocess.PIPE, **options
    )


def test_a_process_ends_with_70_and_tells_its_command_line(cache, site) -> None:
    process = fer_run(site, "fail", "so it is", stdout=subprocess.PIPE)
    out, err = process.communicate()
    assert (process.returncode, out) == (70, b"begun\n")
    (line,) = err.decode().splitlines()
    text = Path(line.partition("report it with ")[2]).read_text()
    assert "-m fer_core fail 'so it is'" in text


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_128_and_its_number(cache, site, number, status) -> None:
    process = fer_run(site, "wait", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"waiting\n"
    process.send_signal(number)
    err = process.communicate()[1]
    killed = process.returncode < 0  # a shell counts 128 and the number itself
    assert (128 - process.returncode if killed else process.returncode) == status
    assert err == (b"" if killed else b"Interrupted\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_not_an_error(site, monkeypatch, unbuffered) -> None:
    """As in `fer-run list | head -1`, but sooner: nobody reads at all."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    for command in (["list"], ["--help"]):
        reading, writing = os.pipe()
        os.close(reading)
        process = fer_run(site, *command, stdout=writing)
        os.close(writing)
        assert process.communicate()[1] == b""
        assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the platform has no /dev/full")
def test_a_full_disk_under_standard_output(site) -> None:
    with Path("/dev/full").open("wb") as full:
        process = fer_run(site, "list", stdout=full)
        err = process.communicate()[1].decode()
    assert process.returncode == 2
    reason = os.strerror(errno.ENOSPC)
    assert err == f"Error: cannot write the output or a temporary file: {reason}; free some space there\n"
