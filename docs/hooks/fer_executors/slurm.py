import shlex
import subprocess
import sys


class Slurm:
    """A job for each run; `sbatch --wait` ends when the job does."""

    def __init__(self, *, partition: str, gpus: int = 1, time: str = "24:00:00"):
        self.options = [f"--partition={partition}", f"--gpus={gpus}", f"--time={time}"]

    def execute(self, runs, device):
        jobs = {}
        for run in runs:
            command = shlex.join([sys.executable, "-m", "fer_core", *run.command(device)])
            options = [*self.options, f"--job-name={run.name}", f"--wrap={command}"]
            jobs[run.name] = subprocess.Popen(["sbatch", "--wait", *options])
        for run in runs:
            status = jobs[run.name].wait()
            yield run, f"its job ended with status {status}" if status else ""
