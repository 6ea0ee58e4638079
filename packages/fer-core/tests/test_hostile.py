"""Generated bad inputs: every one is read, or refused in one line; nothing else may come of it.

Each test runs a few examples always, a thousand with `-m slow`, and as many as `FER_HOSTILE` says when it is set.
"""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import sys
import time
from pathlib import Path

import pytest
import torch
from fer_core import FerError
from fer_core.config import load_config
from fer_core.config.yaml_text import parse_yaml
from fer_core.runs.state import read_state
from fer_core.testing import make_preprocessing
from fer_core.weights import read_upstream
from fer_core.weights.checkpoint import read_header, read_part_header
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

FEW, MANY = 20, int(os.environ.get("FER_HOSTILE", "1000"))
MEMORY = 1 << 30
PLAIN = settings(deadline=60_000, suppress_health_check=list(HealthCheck), database=None)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def amount(test):
    """The test twice: with few examples, and slowly with many."""
    counts = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]
    return pytest.mark.parametrize("examples", counts)(test)


@pytest.fixture(autouse=True)
def bounded():
    """No test makes this process a GiB larger than it ever was."""
    if sys.platform != "linux":
        yield
        return
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY


def refuses(read, *arguments) -> None:
    """Whatever `read` finds, it returns or says in one line, after five seconds of work at most."""
    before = time.process_time()
    try:
        read(*arguments)
    except FerError as error:
        assert "\n" not in str(error)  # noqa: PT017 - that there is an error is not the point
    assert time.process_time() - before < 5


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """`whole` with bytes changed, taken out, put in or cut off; or bytes of no sense."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        # damage at the beginning, where headers are, more often than elsewhere
        reach = draw(st.sampled_from([16, 200, len(content)]))
        at = draw(st.integers(0, max(min(reach, len(content)) - 1, 0)))
        kind = draw(st.sampled_from(["change", "cut", "insert", "remove"]))
        if kind == "change" and content:
            content[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = draw(st.binary(max_size=8))
        else:
            del content[at : at + draw(st.integers(1, 8))]
    return bytes(content)


HEADER = {"format": 2, "hook_api": 1, "model": {"name": "tiny", "options": {}}, "classes": ["a", "b"]}
HEADER |= {"preprocessing": make_preprocessing(16).plain()}
WEIGHTS = save({"w": torch.zeros(2, 2), "b": torch.zeros(2)}, {"fer": json.dumps(HEADER)})


@amount
def test_damaged_weight_files(tmp_path: Path, examples: int) -> None:
    path = tmp_path / "w.safetensors"

    @settings(PLAIN, max_examples=examples)
    @given(damaged(WEIGHTS))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        refuses(read_header, path)
        refuses(read_part_header, path)

    check()


@amount
def test_headers_of_any_json(tmp_path: Path, examples: int) -> None:
    path = tmp_path / "w.safetensors"
    keys = st.sampled_from(sorted(HEADER))

    @settings(PLAIN, max_examples=examples)
    @given(st.dictionaries(keys, values, max_size=3), st.lists(keys, max_size=2), values)
    def check(changed, left_out, instead) -> None:
        header = {key: value for key, value in (HEADER | changed).items() if key not in left_out}
        for content in (header, instead):
            path.write_bytes(save({"w": torch.zeros(1)}, {"fer": json.dumps(content)}))
            refuses(read_header, path)

    check()


WORDS = [
    "model",
    "data",
    "train",
    "optimizer",
    "name",
    "lr",
    "epochs",
    "options",
    "dan",
    "1e-4",
    "null",
    "~",
    "yes",
]
WORDS += [
    ": ",
    ":",
    "- ",
    "\n",
    "\n  ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&a",
    "*a",
    "!!python/object:os.system",
    "!",
    "|",
]
WORDS += [
    ">",
    "'",
    '"',
    "#",
    "<<",
    "%",
    "@",
    "`",
    "\t",
    "\x00",
    "\ud800",
    "0x",
    "9" * 5000,
    "[" * 50,
    "---",
    "...",
]


@amount
def test_configurations_of_any_text(tmp_path: Path, examples: int) -> None:
    path = tmp_path / "config.yaml"

    @settings(PLAIN, max_examples=examples)
    @given(st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=30).map("".join))
    def check(text: str) -> None:
        refuses(parse_yaml, text, "text")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        refuses(load_config, path)

    check()


SECTIONS = ["model", "data", "loss", "optimizer", "scheduler", "train", "run", "callbacks", "other"]
KEYS = ["name", "epochs", "lr", "batch_size", "options", "mean", "train_transforms", "classes", "save_every", "x"]


@amount
def test_configurations_of_any_values(tmp_path: Path, examples: int) -> None:
    path = tmp_path / "config.yaml"
    section = st.dictionaries(st.sampled_from(KEYS), values, max_size=4) | values

    @settings(PLAIN, max_examples=examples)
    @given(st.dictionaries(st.sampled_from(SECTIONS), section, max_size=5))
    def check(tree) -> None:
        path.write_text(json.dumps(tree), encoding="utf-8")  # JSON is YAML
        refuses(load_config, path)

    check()


def stored(content: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


CONTENT = {"state_dict": {"a": torch.ones(2, 3), "b": torch.zeros(2)}, "epoch": 3}
FILES = [stored(CONTENT), stored(CONTENT, _use_new_zipfile_serialization=False)]
FILES += [pickle.dumps({"a": torch.ones(2).numpy()}, protocol=protocol) for protocol in (0, 2, 4)]


@amount
def test_damaged_files_of_others(tmp_path: Path, examples: int) -> None:
    path = tmp_path / "w.pth"

    @settings(PLAIN, max_examples=examples)
    @given(st.sampled_from(FILES).flatmap(damaged))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        refuses(read_upstream, path)

    check()


@amount
def test_damaged_states_of_runs(tmp_path: Path, examples: int) -> None:
    path = tmp_path / "last.state.pt"

    @settings(PLAIN, max_examples=examples)
    @given(damaged(stored({"format": 1, "position": {"step": 1}, "task": CONTENT})))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        refuses(read_state, path)

    check()


def test_a_state_that_would_run_something_is_refused(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harm",))

    torch.save({"format": 1, "task": Harm()}, tmp_path / "last.state.pt")
    with pytest.raises(FerError, match="cannot be read"):
        read_state(tmp_path / "last.state.pt")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("size", [1 << 27, 1 << 40, (1 << 63) + 5])
def test_a_header_that_claims_more_than_there_is_costs_no_memory(tmp_path: Path, size: int) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(size.to_bytes(8, "little") + WEIGHTS[8:])
    with pytest.raises(FerError, match="not a complete safetensors file"):
        read_header(path)


def test_our_code_never_unpickles_without_restriction() -> None:
    packages = Path(__file__).parents[2]
    assert (packages / "fer-core").is_dir()
    found = [
        f"{path.relative_to(packages)}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(packages.glob("*/src/**/*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and not _harmless(ast.unparse(node.func), node)
    ]
    assert not found, "\n".join(found)


def _harmless(called: str, node: ast.Call) -> bool:
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if called.endswith(("torch.load", "np.load", "numpy.load")):
        wanted = {"weights_only": "True"} if "torch" in called else {}
        return wanted.items() <= given.items() and given.get("allow_pickle", "False") == "False"
    unsafe = ("pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.load", "yaml.unsafe_load", "joblib.load")
    return called not in (*unsafe, "pd.read_pickle", "pandas.read_pickle")
