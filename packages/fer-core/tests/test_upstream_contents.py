"""What stands in files of others: the reason why one is refused in full, and what nested content becomes."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fer_core.errors import FerError
from fer_core.weights import read_upstream
from fer_core.weights.upstream.torch_file import LEGACY_MAGIC
from safetensors.torch import save

ADVICE = "give a whole .safetensors, .pth, .pt, .pth.tar or .pkl of weights; no code in it was executed"
ARRAY = np.arange(3, dtype=np.float32)


def reason(path: Path) -> str:
    """Why a file is refused, of a message that is otherwise the same for all."""
    with pytest.raises(FerError) as caught:
        read_upstream(path)
    message = str(caught.value)
    start, end = f"{path} cannot be used as weights (", f"): {ADVICE}"
    assert message.startswith(start)
    assert message.endswith(end)
    return message[len(start) : -len(end)]


def written(tmp_path: Path, content: bytes, name: str = "a.pth") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def tar() -> bytes:
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"))
    return text.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (tar(), "it is a tar archive: unpack it and give the file inside"),
        (b" \n<!DOCTYPE html>", "it is a web page, not the file that the page offers: download it again"),
        (b"no weights at all", "it is neither safetensors, nor torch's format, nor a pickle of weights"),
        (pickle.dumps([ARRAY]), "it holds no mapping of names to tensors"),
        (pickle.dumps({"epoch": 3}), "it holds no tensor"),
        (pickle.dumps({"a": ARRAY})[:-20], "it ends too early"),
    ],
)
def test_the_reason_is_told_in_full(tmp_path, content, says) -> None:
    assert reason(written(tmp_path, content)) == says


def test_a_file_that_is_called_safetensors_is_read_as_such(tmp_path) -> None:
    whole = save({"a": torch.ones(2)})
    assert "header" in reason(written(tmp_path, pickle.dumps({"a": ARRAY}), "a.safetensors")).lower()
    assert torch.equal(read_upstream(written(tmp_path, whole, "a.bin"))["a"], torch.ones(2))
    with pytest.raises(FerError, match="cannot be used as weights"):
        read_upstream(written(tmp_path, whole[:-1], "a.bin"))


def test_a_reason_is_one_short_printable_line(tmp_path, monkeypatch) -> None:
    def failing(path: Path) -> None:
        raise ValueError("  a\x1b[31mb\nsecond line" if path.name == "a.pth" else 300 * "x")

    monkeypatch.setattr("fer_core.weights.upstream.read.read_pickle", failing)
    assert reason(written(tmp_path, b"content")) == "a [31mb"
    assert reason(written(tmp_path, b"content", "b.pth")) == 200 * "x"


def test_an_error_without_words_is_called_by_its_kind(tmp_path, monkeypatch) -> None:
    def failing(path: Path) -> None:
        raise RecursionError

    monkeypatch.setattr("fer_core.weights.upstream.read.read_pickle", failing)
    assert reason(written(tmp_path, b"content")) == "RecursionError"


def nested(levels: int, inner: object = ARRAY) -> object:
    for _ in range(levels):
        inner = {"a": inner}
    return inner


def test_content_may_be_nested_up_to_a_limit(tmp_path) -> None:
    found = read_upstream(written(tmp_path, pickle.dumps(nested(65))))
    for _ in range(64):
        found = found["a"]
    assert found["a"].tolist() == [0, 1, 2]
    assert reason(written(tmp_path, pickle.dumps(nested(66)))) == "it is nested deeper than 64 levels"


def test_lists_count_as_levels_too(tmp_path) -> None:
    content: object = ARRAY
    for _ in range(64):
        content = [content]
    assert torch.is_tensor(flat(read_upstream(written(tmp_path, pickle.dumps({"a": content})))["a"]))
    assert reason(written(tmp_path, pickle.dumps({"a": [content]}))) == "it is nested deeper than 64 levels"


def flat(content: object) -> object:
    while isinstance(content, list):
        (content,) = content
    return content


def test_what_is_shared_is_one_object_and_what_holds_itself_is_left_out(tmp_path) -> None:
    inner = {"weight": ARRAY}
    content: dict[str, object] = {"one": inner, "other": inner, "list": [inner, ARRAY]}
    content["self"] = content
    looped: list[object] = [1]
    looped.append(looped)
    content["looped"] = looped
    found = read_upstream(written(tmp_path, pickle.dumps(content)))
    assert list(found) == ["one", "other", "list", "looped"]
    assert found["one"] is found["other"] is found["list"][0]
    assert found["one"]["weight"] is found["list"][1]
    assert found["looped"] == [1, None]


def test_a_tensor_is_found_however_deep_it_is(tmp_path) -> None:
    content = {"a": {"b": [1, {"c": [ARRAY]}]}}
    assert read_upstream(written(tmp_path, pickle.dumps(content)))["a"]["b"][1]["c"][0].tolist() == [0, 1, 2]
    assert reason(written(tmp_path, pickle.dumps({"a": {"b": [1, {"c": []}]}}))) == "it holds no tensor"


def test_keys_become_text(tmp_path) -> None:
    content = {1: ARRAY, b"caf\xe9": 2, None: 3}
    assert list(read_upstream(written(tmp_path, pickle.dumps({0: ARRAY} | content)))) == ["0", "1", "café", "None"]


def archive(tmp_path: Path, **entries: bytes) -> Path:
    """A zip archive of torch's kind, of entries below its root."""
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as made:
        for name, content in entries.items():
            made.writestr(f"root/{name.replace('__', '/').replace('_pkl', '.pkl')}", content)
    return path


def storage(numel: object, key: bytes = b"V0\n", kind: bytes = b"FloatStorage") -> bytes:
    """A pickled dictionary of one tensor of two numbers."""
    return (
        b"\x80\x02}Va\nctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\n"
        + kind
        + b"\n"
        + key
        + b"Vcpu\n"
        + f"I{numel}\n".encode()
        + b"tQI0\n(I2\nt(I1\ntI00\n}tRs."
    )


def test_a_torch_archive_written_by_hand_is_read(tmp_path) -> None:
    path = archive(tmp_path, data_pkl=storage(2), data__0=struct.pack("<2f", 1.5, -2), byteorder=b"little")
    assert read_upstream(path)["a"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"other": b"x"}, "it is a zip archive, but not one that torch wrote"),
        (
            {"data_pkl": storage(2), "constants_pkl": b"x", "data__0": bytes(8)},
            "it is a TorchScript program: save the state dict of its model instead",
        ),
        (
            {"data_pkl": storage(2), "byteorder": b"big", "data__0": bytes(8)},
            "its numbers are big-endian: save it again on another machine",
        ),
        ({"data_pkl": storage(2)}, "storage 0 claims 8 bytes, more than the file has of it"),
        ({"data_pkl": storage(2), "data__0": bytes(7)}, "storage 0 claims 8 bytes, more than the file has of it"),
        ({"data_pkl": storage(-1), "data__0": bytes(8)}, "a storage of a kind that is not supported"),
        ({"data_pkl": storage("01"), "data__0": bytes(8)}, "a storage of a kind that is not supported"),
        ({"data_pkl": storage(2, b"]"), "data__0": bytes(8)}, "a storage of a kind that is not supported"),
        (
            {"data_pkl": storage(2, kind=b"QInt8Storage"), "data__0": bytes(8)},
            "it holds a QInt8Storage, whose numbers are not supported",
        ),
        ({"data_pkl": b"\x80\x02}Va\n(Vother\ntQs."}, "it refers to an object outside the file"),
    ],
)
def test_what_is_wrong_with_an_archive_is_named(tmp_path, entries, says) -> None:
    assert reason(archive(tmp_path, **entries)) == says


def test_an_archive_may_hold_more_bytes_than_a_storage_claims(tmp_path) -> None:
    path = archive(tmp_path, data_pkl=storage(2, key=b"I0\n"), data__0=struct.pack("<3f", 1, 2, 3))
    assert read_upstream(path)["a"].tolist() == [1, 2]


def pair(one: int, other: int) -> bytes:
    """Two tensors of the storage 0, which claim so many numbers of it."""
    first, second = storage(one)[:-1], storage(other)[3:].replace(b"Va\n", b"Vb\n", 1)
    return first + second


def test_tensors_of_one_storage_share_it_and_agree_in_its_size(tmp_path) -> None:
    numbers = struct.pack("<4f", 1, 2, 3, 4)
    found = read_upstream(archive(tmp_path, data_pkl=pair(4, 4), data__0=numbers))
    found["a"][0] = 9
    assert found["b"].tolist() == [9, 2]
    assert reason(archive(tmp_path, data_pkl=pair(4, 3), data__0=numbers)) == "storage 0 is claimed in two sizes"


def test_an_archive_may_be_rooted_in_a_folder_of_a_folder(tmp_path) -> None:
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("deep/archive/data.pkl", storage(2))
        made.writestr("deep/archive/data/0", struct.pack("<2f", 1, 2))
    assert read_upstream(path)["a"].tolist() == [1, 2]
    with zipfile.ZipFile(path, "a") as made:
        made.writestr("other/data.pkl", storage(2))
    assert reason(path) == "it is a zip archive, but not one that torch wrote"


def test_an_archive_that_expands_too_far_is_refused(tmp_path) -> None:
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("root/data.pkl", storage(2))
        made.writestr("root/data/0", bytes(100_000))
    assert reason(path) == "it would expand to over 8 times its size, which weights never do"


def legacy(*parts: bytes, version: int = 1001, system: object = None) -> bytes:
    """A file in torch's older format: number, version, system, then what is given."""
    head = (LEGACY_MAGIC, version, {"little_endian": True} if system is None else system)
    return b"".join(pickle.dumps(part, protocol=2) for part in head) + b"".join(parts)


VERSION = "it is in a version of torch's format that is not supported"
KEYS = pickle.dumps(["0"], protocol=2)
NUMBERS = struct.pack("<q2f", 2, 1.5, -2)


def test_a_file_in_the_older_format_written_by_hand_is_read(tmp_path) -> None:
    view = storage(2).replace(b"I2\ntQ", b"I2\nNtQ", 1)
    assert read_upstream(written(tmp_path, legacy(view, KEYS, NUMBERS)))["a"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            legacy(storage(2), KEYS, NUMBERS, version=1000),
            "it is in a version of torch's format that is not supported",
        ),
        (
            legacy(storage(2), KEYS, NUMBERS, system={}),
            "it is in a version of torch's format that is not supported",
        ),
        (
            legacy(storage(2), KEYS, NUMBERS, system={"little_endian": False}),
            "it is in a version of torch's format that is not supported",
        ),
        (
            legacy(storage(2), KEYS, struct.pack("<q2f", 3, 1, 2)),
            "storage 0 claims 8 bytes, but the file has another count",
        ),
        (legacy(storage(2), KEYS, NUMBERS[:-1]), "it ends too early"),
        (legacy(storage(2), pickle.dumps([], protocol=2), NUMBERS), "1 storages are not in it"),
    ],
)
def test_what_is_wrong_with_the_older_format_is_named(tmp_path, content, says) -> None:
    assert reason(written(tmp_path, content)) == says
