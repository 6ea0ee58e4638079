"""Unforeseen exceptions: one line that names a file with all that is needed to find the bug."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import fer_core
from fer_core.errors import one_line
from fer_core.makers import culprit
from fer_core.plugins import home_of, installed_versions, load_plugins

PACKAGES = ("fer-core", "torch", "torchvision", "numpy", "pandas", "pillow", "pydantic", "click", "pluggy")
LONGEST = 200
"""Characters of an exception's message that are shown; the file has all of it."""
SECRET = r"(?:token|secret|passw|credential|api_?key|access_?key)"
"""Part of a name whose value is never written down."""


def describe_crash(error: BaseException) -> str:
    """Write a crash file and describe the exception in one line that names it."""
    trace = traceback.TracebackException.from_exception(error)
    message = _shortened(str(trace))
    name = type(error).__name__
    what = f"{name}: {message.removeprefix(f'{name}: ')}" if message else name
    maker = culprit(error)
    home = str(maker) if maker is not None else _home(error, trace)
    whose = f"{'' if maker else 'the plugin '}{home}" if home else "fer or in a plugin"
    try:
        report = f"report it with {_write(what, ''.join(trace.format()))}"
    except Exception as failure:  # nothing may hide the first exception
        report = f"no crash file could be written ({type(failure).__name__}): set FER_DEBUG=1 to see the traceback"
    return one_line(f"{what}: a bug in {whose}, not in your input; {report}")


def _shortened(message: str) -> str:
    """One line of a message; of one that holds a worker's traceback, what the worker raised."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if any(line.startswith(("Original Traceback", "Traceback")) for line in lines):
        lines = lines[-1:]
    text = " ".join(lines)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _home(error: BaseException, trace: traceback.TracebackException) -> str | None:
    """The plugin that the innermost code of the exception belongs to, libraries left out; None: the core's."""
    own = str(Path(fer_core.__file__).parent)
    files = [frame.filename for frame in trace.stack]
    files += re.findall(r'^ *File "(.+)", line \d+', str(trace), re.MULTILINE)  # a worker's, in the message
    for file in reversed(files):
        if file.startswith(own):
            return None
        if home := home_of(file):
            return home
    return None


def _write(what: str, trace: str) -> Path:
    """Write it to `crashes` in the cache, or to the folder of temporary files if that fails."""
    text = "\n".join([*_facts(what), "", trace])
    data = _without_secrets(text).encode("utf-8", "backslashreplace")
    name = f"crash-{datetime.now(UTC):%Y%m%d-%H%M%S}-"
    from fer_core.workflows.environment import cache_root

    try:
        folder = cache_root() / "crashes"
        folder.mkdir(parents=True, exist_ok=True)
        return _write_new(folder, name, data)
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return _write_new(Path(tempfile.gettempdir()), name, data)


def _write_new(folder: Path, name: str, data: bytes) -> Path:
    number, path = tempfile.mkstemp(".txt", name, folder)
    with os.fdopen(number, "wb") as file:
        file.write(data)
    return Path(path)


def _facts(what: str) -> Iterator[str]:
    yield what
    yield f"time      {datetime.now(UTC).isoformat(timespec='seconds')}"
    yield f"command   {shlex.join(sys.orig_argv)}"
    yield f"python    {platform.python_version()}, {platform.platform()}"
    installed = installed_versions(PACKAGES)
    yield "versions  " + ", ".join(f"{name} {installed.get(name, 'not installed')}" for name in PACKAGES)
    plugins = load_plugins()
    yield "plugins   " + ", ".join(f"{plugin.distribution} {plugin.version}" for plugin in plugins.loaded)
    for failure in plugins.failures:
        yield f"failed    {failure}"


def _without_secrets(text: str) -> str:
    """`text` without passwords in addresses, and without values of options and variables that keep a secret."""
    text = re.sub(r"(://)[^/\s@]+@", r"\1***@", text)
    text = re.sub(rf"(?i)({SECRET}[\w.-]*[\"']?\s*[=:]\s*)[^\s,}}]+", r"\1***", text)
    kept = [value for name, value in os.environ.items() if re.search(SECRET, name, re.IGNORECASE)]
    for value in sorted(kept, key=len, reverse=True):
        if len(value) >= 6:  # shorter ones are words that occur in any text
            text = text.replace(value, "***")
    return text
