"""`fer-run data pack`, `list` and `remove` look after the packs in the cache."""

import json
import shutil
from collections import namedtuple

import pytest
from click.testing import CliRunner
from fer_core.cli import main
from fer_core.data.packs.open import pack_lock


def fer_run(*arguments):
    return CliRunner().invoke(main, ["data", *arguments])


def stored():
    return json.loads(fer_run("list", "--json").stdout)


@pytest.fixture
def cache(tiny):
    """Cache of a user who has packed `bars` twice, with 9 and 12 samples."""
    for samples in (9, 12):
        result = fer_run("pack", "bars", "-o", f"data.options.samples={samples}")
        assert result.exit_code == 0, result.output
        assert f"bars: {samples} images" in result.stdout
    return tiny / "cache"


def test_packs_are_listed_with_their_state(cache):
    assert fer_run("pack", "bars", "-o", "data.options.samples=9").exit_code == 0  # is there already
    packs = stored()
    assert sorted(pack["images"] for pack in packs) == [9, 12]
    assert {(pack["dataset"], pack["state"]) for pack in packs} == {("bars", "complete")}
    one, other = (cache / "packs" / pack["name"] for pack in packs)
    (one / "pixels.bin").write_bytes(b"")
    (other / "building.json").write_text(json.dumps({"dataset": "bars", "images": 12}))
    other.rename(other.with_name(f".{other.name}"))
    assert sorted(pack["state"] for pack in stored()) == ["damaged", "unfinished"]
    table = fer_run("list").stdout
    assert all(pack["name"] in table for pack in packs)
    assert fer_run("remove", "bars").exit_code == 0
    assert stored() == []
    assert "No pack" in fer_run("list").stdout


def test_packs_are_removed_by_name(cache):
    first, second = stored()
    assert first["name"] in fer_run("remove", first["name"]).stdout
    assert stored() == [second]
    assert fer_run("remove", "--all").exit_code == 0
    assert list((cache / "packs").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["barz"], "no pack of barz: did you mean bars"), ([], "--all"), (["bars", "--all"], "--all alone")],
)
def test_unclear_removals_are_refused(cache, arguments, words):
    result = fer_run("remove", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(stored()) == 2


def test_a_pack_that_is_being_written_stays(cache):
    pack = stored()[0]
    with pack_lock(cache / "packs" / pack["name"], "bars"):
        result = fer_run("remove", "--all")
    assert result.exit_code == 1
    assert "is being written" in result.stderr
    assert stored() == [pack]


def test_packing_ahead_fails_where_there_is_no_room(tiny, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1000))
    result = fer_run("pack", "bars")
    assert result.exit_code == 1
    assert "images are read one by one" in result.stderr
    assert "no pack was made for bars" in result.stderr
    assert stored() == []
