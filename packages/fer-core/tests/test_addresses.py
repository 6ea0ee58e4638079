"""Files by address: a path is a path, and the plugin that knows the scheme fetches the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from fer_core.errors import FerError
from fer_core.weights.address import is_address, local_file

SHELF = """
from pathlib import Path

@hookimpl
def fer_fetch(uri, cache):
    if not uri.startswith("shelf://"):
        return None
    path = cache / uri.removeprefix("shelf://")
    path.write_text("weights of " + uri)
    return path
"""


@pytest.fixture
def shelf(site, tmp_path, monkeypatch) -> Path:
    """A plugin knows `shelf://`; the cache is this folder, which is not there yet."""
    site.install("a-plugin", SHELF)
    cache = tmp_path / "caches" / "fer"
    monkeypatch.setenv("FER_CACHE", str(cache))
    return cache


@pytest.mark.parametrize("place", ["shelf://a", "https://example.org/a.pth"])
def test_an_address_has_a_scheme(place) -> None:
    assert is_address(place)


@pytest.mark.parametrize("place", ["a.pth", "runs/latest", "C:/a.pth", Path("shelf:/a"), "~/a.pth"])
def test_everything_else_is_a_path(place) -> None:
    assert not is_address(place)


def test_a_path_is_taken_as_it_is_and_fetches_nothing(shelf, monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert local_file("runs/a.pth") == local_file(Path("runs/a.pth")) == Path("runs/a.pth")
    assert local_file("~/a.pth") == Path("/home/ada/a.pth")
    assert not shelf.exists()


def test_a_plugin_fetches_into_the_cache_also_a_second_time(shelf) -> None:
    for name in ("a.pth", "b.pth"):
        path = local_file(f"shelf://{name}")
        assert path == shelf / "files" / name
        assert path.read_text() == f"weights of shelf://{name}"


def test_a_scheme_that_no_plugin_knows_is_named(shelf) -> None:
    with pytest.raises(FerError) as caught:
        local_file("attic://box://a.pth")
    assert str(caught.value) == (
        "no plugin fetches attic:// addresses, such as attic://box://a.pth: download it and give its path"
    )
