"""A disk that is full, by a small one in memory: one line, nothing half-written, and the run goes on later."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings

import fer_core
import pytest
from fer_core import api
from fer_core.runs.log import RunLog

PRODUCTS = ("best.safetensors", "last.safetensors", "result.json", "predictions-test.csv", "metrics.jsonl")
STEPS = 6
"""Disks tried, from one that holds the configuration at most to one that holds nearly the whole run."""


@pytest.fixture
def disk(tmp_path):
    """`disk(kilobytes)` gives a disk of this size at `tmp_path/disk`, empty the first time, then resized."""
    folder = tmp_path / "disk"
    mounted = False

    def resize(kilobytes: int):
        nonlocal mounted
        folder.mkdir(exist_ok=True)
        options = f"{'remount,' if mounted else ''}size={kilobytes}k"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = f"no small disk can be mounted here: {done.stderr.strip()}"
            warnings.warn(reason, stacklevel=2)
            pytest.skip(reason)
        mounted = True
        return folder

    yield resize
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # torch may hold a file that it failed on


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_run_that_fills_the_disk_says_so_and_goes_on_when_there_is_room(tiny, quick, disk) -> None:
    given = {**quick, "train": {"epochs": 2, "save_every": 1}, "callbacks": ["csv_log"]}
    whole = fer_core.train("tiny", "bars", device="cpu", **given, run={"dir": "whole"}).folder
    needed = sum(-(-path.stat().st_size // 4096) * 4 for path in whole.iterdir())
    folder = disk(1)
    failures = []
    for step in range(1, STEPS + 1):
        run = folder / f"run-{step}"
        disk(needed * step // STEPS)
        try:
            fer_core.train("tiny", "bars", device="cpu", **given, run={"dir": str(run)})
        except fer_core.FerError as error:
            failures.append(str(error))
        disk(4 * needed)
        if run.exists():
            api.resume(run)
            for name in PRODUCTS:
                assert (run / name).read_bytes() == (whole / name).read_bytes(), (step, name)
            names = {path.name for path in run.iterdir()}
            # A finished run without its report is whole; fer-run report makes it.
            assert names | {"report.html"} == {path.name for path in whole.iterdir()}
        for path in run.glob("*"):
            path.unlink()
    assert len(failures) >= STEPS // 2
    assert all("No space left" in line and ("free some space" in line or "run.root" in line) for line in failures)


def test_a_line_that_the_log_has_no_room_for_is_shown_and_kept_later(tmp_path, lines) -> None:
    with RunLog() as log:
        log.open(tmp_path / "absent")
        logging.getLogger("fer_core.one").info("first")
        (tmp_path / "absent").mkdir()
        logging.getLogger("fer_core.two").warning("second")
    assert lines == ["first", "warning  second"]
    assert (tmp_path / "absent/log.txt").read_text() == "first\nwarning  second\n"
