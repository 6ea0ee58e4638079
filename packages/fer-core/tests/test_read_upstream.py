"""Files of others are read, in every form they come in, and nothing in them ever runs."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import sys
import types
import zipfile
from argparse import Namespace
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from fer_core import FerError
from fer_core.weights import read_upstream, unwrap
from safetensors.torch import save_file
from torch import nn


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Linear(4, 2)))


def same(found, expected) -> bool:
    return list(found) == list(expected) and all(torch.equal(found[name], expected[name]) for name in expected)


def write(path: Path, content: object, **options: object) -> Path:
    torch.save(content, path, **options)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(FerError) as caught:
        read_upstream(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("zipped", [True, False])
def test_both_of_torchs_formats_are_read_as_torch_reads_them(tmp_path, zipped) -> None:
    base = torch.arange(24.0)
    content = {
        "epoch": 3,
        "best": 0.5,
        "names": ("a", "b"),
        "state_dict": OrderedDict(network().state_dict()),
        "kinds": {str(kind): torch.ones(3).to(kind) for kind in (torch.float16, torch.bfloat16, torch.bool)},
        "views": [base[4:12], base.view(4, 6).t(), base[::3]],
        "scalar": torch.tensor(7),
        "empty": torch.empty(0, 5),
        "parameter": nn.Parameter(torch.ones(2)),
        "device": torch.device("cpu"),
        "size": torch.Size([1, 2]),
        "optimizer": {"state": {0: {"step": 1}}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]},
    }
    found = read_upstream(write(tmp_path / "a.pth.tar", content, _use_new_zipfile_serialization=zipped))
    assert same(found["state_dict"], content["state_dict"])
    assert all(torch.equal(found["kinds"][name], tensor) for name, tensor in content["kinds"].items())
    assert all(map(torch.equal, found["views"], content["views"]))
    assert torch.equal(found["scalar"], torch.tensor(7))
    assert found["empty"].shape == (0, 5)
    assert torch.equal(found["parameter"], torch.ones(2))
    assert (found["epoch"], found["best"], found["names"], found["size"]) == (3, 0.5, ["a", "b"], [1, 2])
    assert found["optimizer"]["state"]["0"] == {"step": 1}


def test_newer_number_types_are_read(tmp_path) -> None:
    tensor = torch.tensor([1, 65535], dtype=torch.uint16)
    assert torch.equal(read_upstream(write(tmp_path / "a.pt", {"a": tensor}))["a"], tensor)


def test_safetensors_are_read_whatever_the_file_is_called(tmp_path) -> None:
    for name in ("a.safetensors", "a.bin"):
        save_file(network().state_dict(), tmp_path / name)
        assert torch.equal(read_upstream(tmp_path / name)["0.bias"], network().state_dict()["0.bias"])


@pytest.mark.parametrize("protocol", range(6))
def test_pickled_arrays_become_tensors(tmp_path, protocol) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "conv1.weight": rng.standard_normal((2, 3, 3, 3)).astype(np.float32),
        "fortran": np.asfortranarray(rng.standard_normal((3, 4))),
        "big": np.arange(5, dtype=">i4"),
        "scalar": np.array(3.0),
    }
    path = tmp_path / "resnet50_ft_weight.pkl"
    path.write_bytes(pickle.dumps(arrays | {"accuracy": np.float64(0.25)}, protocol=protocol))
    found = read_upstream(path)
    assert found.pop("accuracy") == 0.25
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert np.array_equal(found[name].numpy(), array), name
        assert found[name].is_contiguous()


def test_pickles_of_python_2_are_read_as_latin1(tmp_path) -> None:
    data = np.array([1.5, -2.0], "<f4").tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(I2\ntcnumpy\ndtype\n"
        b"(U\x02f4I0\nI1\ntR(I3\nU\x01<NNNI-1\nI-1\nI0\ntbI00\nU\x08" + data + b"tb"
    )
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02}U\x0bconv.weight" + array + b"s.")
    assert torch.equal(read_upstream(path)["conv.weight"], torch.tensor([1.5, -2.0]))
    textual = (
        b"(dS'conv.weight'\n" + array.replace(b"U\x08" + data, b"S" + repr(data)[1:].encode() + b"\n") + b"s."
    )
    path.write_bytes(textual)
    assert torch.equal(read_upstream(path)["conv.weight"], torch.tensor([1.5, -2.0]))


@pytest.fixture
def script(monkeypatch):
    """A module of the authors' that is there while the file is written and gone when it is read."""
    module = types.ModuleType("networks_of_others")

    class MixedFeatureNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network()
            self.scale = nn.Parameter(torch.ones(3))
            self.register_buffer("hidden", torch.ones(9), persistent=False)
            self.act = torch.relu

    class Recorder:
        def __init__(self) -> None:
            self.losses = np.zeros(4)

    class Settings(dict):
        pass

    for kind in (MixedFeatureNet, Recorder, Settings):
        kind.__module__, kind.__qualname__ = module.__name__, kind.__name__
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickled_module_becomes_its_state_dict(tmp_path, script, monkeypatch, zipped) -> None:
    module = script.MixedFeatureNet()
    path = write(tmp_path / "MFN_msceleb.pth", module, _use_new_zipfile_serialization=zipped)
    within = write(tmp_path / "within.pth", {"model": nn.DataParallel(module), "epoch": 1})
    monkeypatch.delitem(sys.modules, "networks_of_others")
    assert same(read_upstream(path), module.state_dict())
    assert same(unwrap(read_upstream(within)), module.state_dict())
    assert "networks_of_others" not in sys.modules


def test_objects_of_a_script_beside_the_weights_are_left_out(tmp_path, script, monkeypatch) -> None:
    state = {f"module.{name}": tensor for name, tensor in network().state_dict().items()}
    content = {
        "state_dict": state,
        "recorder": script.Recorder(),
        "args": Namespace(lr=0.1),
        "best_acc": torch.tensor([0.9]),
        "settings": script.Settings(nested=script.Settings(lr=1)),
        "groups": defaultdict(list, a=[1]),
    }
    path = write(tmp_path / "a.pth", content)
    monkeypatch.delitem(sys.modules, "networks_of_others")
    found = read_upstream(path)
    assert same(unwrap(found), network().state_dict())
    assert list(found) == ["state_dict", "best_acc", "settings", "groups"]
    assert found["settings"] == {"nested": {"lr": 1}}


class Calls:
    """Pickled, it asks for a call."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "the file ran a command"


def attacks(canary: Path) -> dict[str, object]:
    command = Calls(os.system, f"touch {canary}")
    code = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    return {
        "alone": command,
        "beside weights": {"state_dict": network().state_dict(), "x": command},
        "eval": {"a": torch.ones(1), "x": Calls(eval, code)},
        "exec": {"a": torch.ones(1), "x": Calls(exec, code)},
        "as a key": {"a": torch.ones(1), command: 1},
        "as an argument": {"a": torch.ones(1), "x": Calls(Namespace, command)},
        "open": [Calls(open, str(canary), "w")],
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", list(attacks(Path())))
def test_a_file_that_would_run_a_command_is_refused_and_runs_nothing(tmp_path, canary, name, zipped) -> None:
    path = write(tmp_path / "a.pth", attacks(canary)[name], _use_new_zipfile_serialization=zipped)
    assert "no code in it was executed" in refusal(path)
    plain = tmp_path / "a.pkl"
    plain.write_bytes(pickle.dumps(attacks(canary)[name]))
    assert "no code in it was executed" in refusal(plain)


def test_the_command_is_named(tmp_path, canary) -> None:
    path = write(tmp_path / "a.pth", {"a": torch.ones(1), "x": Calls(os.system, f"touch {canary}")})
    assert f"it would call {os.system.__module__}.system" in refusal(path)


def test_the_canary_would_notice(tmp_path) -> None:
    path = tmp_path / "noticed"
    pickle.loads(pickle.dumps(Calls(os.system, f"touch {path}")))
    assert path.exists()


def hostile(canary: Path) -> dict[str, bytes]:
    command = f"(Vtouch {canary}\ntR".encode()
    system = b"cposix\nsystem\n" + command
    return {
        "persistent identity": b"\x80\x02" + system + b"Q.",
        "within a persistent identity": b"\x80\x02(Vstorage\n" + system + b"V0\nVcpu\nI4\ntQ.",
        "set state": b"\x80\x02c__main__\nA\n)\x81}V__setstate__\ncposix\nsystem\nsb"
        + f"Vtouch {canary}\nb.".encode(),
        "state of a class": b"\x80\x02c__main__\nA\n}V__reduce__\ncposix\nsystem\nsb" + command + b".",
        "state of a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}V__code__\nVx\nsb0}.",
        "called instance": b"\x80\x02cbuiltins\ngetattr\n(cos\nsystem\nVx\ntR" + command + b".",
        "instance opcode": b"(Vtouch x\niposix\nsystem\n.",
        "object opcode": b"(cposix\nsystem\nVtouch x\no.",
        "extension": b"\x80\x02\x82\x01.",
        "dotted name": b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93" + command + b".",
        "through an allowed one": b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cposix\nsystem\nN(Vx\nttR.",
    }


@pytest.mark.parametrize("name", list(hostile(Path())))
def test_tricks_with_opcodes_run_nothing(tmp_path, canary, name) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(hostile(canary)[name])
    refusal(path)
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", hostile(canary)[name])
    refusal(tmp_path / "a.pth")


def rebuild(size: str, stride: str, numel: int = 4, offset: int = 0) -> bytes:
    storage = f"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI{numel}\ntQ"
    return (
        f"\x80\x02}}Va\nctorch._utils\n_rebuild_tensor_v2\n({storage}I{offset}\n{size}{stride}I00\n)tRs.".encode(
            "latin-1"
        )
    )


@pytest.mark.parametrize(
    ("size", "stride", "options"),
    [
        ("(I5\nt", "(I1\nt", {}),
        ("(I4\nt", "(I1\nt", {"offset": 1}),
        ("(I4\nt", "(I2\nt", {}),
        ("(I1000000\nI1000000\nt", "(I0\nI0\nt", {}),
        ("(I-4\nt", "(I1\nt", {}),
        ("(I2\nt", "(I-1\nt", {}),
        ("(I2\nI2\nt", "(I1\nt", {}),
        ("(I4\nt", "(I1\nt", {"numel": 10**12}),
        ("(I4\nt", "(I1\nt", {"numel": -4}),
        ("(V4\nt", "(I1\nt", {}),
    ],
)
def test_a_tensor_that_claims_more_than_is_stored_is_refused(tmp_path, size, stride, options) -> None:
    def archive(pickled: bytes) -> Path:
        with zipfile.ZipFile(tmp_path / "a.pth", "w") as file:
            file.writestr("a/data.pkl", pickled)
            file.writestr("a/data/0", np.arange(4, dtype="<f4").tobytes())
        return tmp_path / "a.pth"

    whole = read_upstream(archive(rebuild("(I2\nI2\nt", "(I2\nI1\nt")))
    assert torch.equal(whole["a"], torch.arange(4.0).view(2, 2))
    refusal(archive(rebuild(size, stride, **options)))


def test_a_zip_bomb_is_refused_before_it_expands(tmp_path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", rebuild("(I4\nt", "(I1\nt", numel=25_000_000))
        archive.writestr("a/data/0", bytes(100_000_000))
    assert path.stat().st_size < 200_000
    assert "would expand to over 8 times its size" in refusal(path)


def test_a_zip_whose_entries_share_their_bytes_is_refused(tmp_path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a/data.pkl", rebuild("(I4\nt", "(I1\nt"))
        archive.writestr("a/data/0", bytes(4096))
        archive.filelist += [archive.filelist[-1]] * 3
        for number, info in enumerate(archive.filelist[2:], 1):
            archive.filelist[1 + number] = zipfile.ZipInfo(f"a/data/{number}")
            for key in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                setattr(archive.filelist[1 + number], key, getattr(info, key))
    (tmp_path / "a.pth").write_bytes(content.getvalue())
    assert "more bytes than the file has" in refusal(tmp_path / "a.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_refused_at_every_length(tmp_path, zipped) -> None:
    path = write(tmp_path / "a.pth", network().state_dict(), _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for length in [*range(0, len(whole), len(whole) // 40), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refusal(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_byte_gives_weights_or_one_line(tmp_path, zipped) -> None:
    path = write(tmp_path / "a.pth", {"a": torch.ones(2), "b": "text"}, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 400):
        damaged = bytearray(whole)
        damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with contextlib.suppress(FerError):
            assert isinstance(read_upstream(path), dict)


def test_a_claimed_length_allocates_nothing(tmp_path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.")
    assert "ends too early" in refusal(path)


def test_endless_nesting_is_refused(tmp_path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")
    refusal(path)
    path.write_bytes(b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"Nsh\x00.")
    refusal(path)
    path.write_bytes(b"\x80\x02}q\x00Va\nh\x00s.")
    assert "no tensor" in refusal(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"not weights", "neither safetensors, nor torch's format, nor a pickle of weights"),
        (b"\n<!DOCTYPE html><html>", "it is a web page"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "neither safetensors"),
        (pickle.dumps([1, 2]), "no mapping of names to tensors"),
        (pickle.dumps({"a": 1, "b": [None]}), "no tensor"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path, content, message) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert message in refusal(path)


def test_a_missing_file_a_folder_and_another_archive_are_named(tmp_path) -> None:
    assert "is not a file" in refusal(tmp_path / "absent.pth")
    assert "is not a file" in refusal(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "text")
    assert "not one that torch wrote" in refusal(tmp_path / "a.zip")
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    assert "TorchScript" in refusal(tmp_path / "script.pt")
    (tmp_path / "a.safetensors").write_text("not weights")
    refusal(tmp_path / "a.safetensors")
