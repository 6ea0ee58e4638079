import json
import subprocess
import sys
from pathlib import Path

from fer_core.testing import check_plugin

FILE = """
models: [tinynet]
datasets: [shapes]
grid: {optimizer.lr: [0.01, 1e30]}
config: {data: {options: {samples: 100}}, train: {epochs: 1}, callbacks: []}
"""


def experiment(folder, *hosts):
    (folder / "seeds.yaml").write_text(f"{FILE}\nexecutor: {{name: hosts, hosts: {json.dumps(hosts)}}}")
    command = [sys.executable, "-m", "fer_core", "experiment", "seeds.yaml", "--device", "cpu"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_the_plugin_is_sound():
    check_plugin("fer-executor-hosts")


def test_machines_share_the_runs_and_a_failing_run_fails(tmp_path):
    done = experiment(tmp_path, "env FER_CACHE=one", "env FER_CACHE=two")
    assert done.returncode == 1, done.stderr
    assert "1 of 2 runs failed" in done.stderr
    assert "the loss is" in done.stderr
    assert len(list(tmp_path.rglob("result.json"))) == 1
    assert Path(tmp_path, "one").is_dir()
    assert Path(tmp_path, "two").is_dir()


def test_a_machine_that_is_not_there_is_told(tmp_path):
    done = experiment(tmp_path, "nowhere", "false")
    assert done.returncode == 1
    assert "nowhere cannot be started: No such file" in done.stderr
    assert "false ended with status 1" in done.stderr
