"""YAML in and out: 1.2 scalars, refusals in one line, equal after a round trip."""

from __future__ import annotations

import math

import pytest
import yaml
from fer_core.config.yaml_text import MAX_BYTES, flow, one_line, parse_yaml, read_yaml
from fer_core.errors import FerError
from hypothesis import given, settings
from hypothesis import strategies as st

TEXTS = st.text(max_size=30) | st.sampled_from(
    [
        "1e-4",
        "on",
        "no",
        "null",
        "~",
        "1_000",
        "0x1f",
        "12:30",
        "2020-01-01",
        "<<",
        "=",
        "best:val",
        "a: b",
        "# c",
        "- d",
    ]
)
KEYS = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="."), min_size=1, max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def refusal(text):
    with pytest.raises(FerError) as caught:
        parse_yaml(text, "my.yaml")
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith("my.yaml")
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E+3", 1000.0),
        (".5", 0.5),
        ("-3.", -3.0),
        ("007", 7),
        ("0x1f", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("'1e-4'", "1e-4"),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
        ("~", None),
        ("", None),
        ("'null'", "null"),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    read = parse_yaml(text, "x")
    assert read == value
    assert type(read) is type(value)


def test_infinite_numbers_are_read_as_numbers():
    assert parse_yaml("[.inf, -.Inf, 1e999]", "x") == [math.inf, -math.inf, math.inf]
    assert math.isnan(parse_yaml(".nan", "x"))


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_one_line_of_flow_reads_back_equal_here_and_under_yaml_1_1(value):
    line = flow(value)
    assert "\n" not in line
    read = parse_yaml(line, "x")
    assert repr(read) == repr(value)  # 1 is not 1.0, 0.0 is not -0.0
    assert yaml.safe_load(line) == value


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab1:-[]{}#&*!|>'\"%@` \n\t,?.\x00\ud800é"), max_size=30))
def test_any_text_is_read_or_refused_in_one_line(text):
    message = ""
    try:
        parse_yaml(text, "my.yaml")
    except FerError as error:
        message = str(error)
    assert message == one_line(message)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: &x 1\nb: *x", "line 1: anchors and aliases are not allowed"),
        ("b: *x", "line 1: anchors and aliases are not allowed"),
        ("a: !!python/object/apply:os.system ['true']", "the tag tag:yaml.org,2002:python/object/apply:os.system"),
        ("a: !!binary aGk=", "is not allowed"),
        ("a: ! 3", "is not allowed"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands twice"),
        ("{a: {b: 1, 'b': 2}}", "the key 'b' stands twice"),
        ("1: x", "the key 1 is not text"),
        ("[1, 2]: x", "the key [1, 2] is not text"),
        ("a: [1", "line 1: not valid YAML"),
        ("a: 1\n b: 2", "line 2: not valid YAML"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: \x00", "not valid YAML"),
        ("a: " + "9" * 5000, "the number is too long"),
        ("[" * 33 + "]" * 33, "nested deeper than 32 levels"),
        ("[" * 500, "nested deeper than 32 levels"),
        ("- a\n" * 20_000, "line 20000: more than 20,000 values"),
        ("a: " + "x" * MAX_BYTES, "larger than 1 MiB"),
    ],
)
def test_refusals_are_one_line_and_say_where(text, part):
    assert part in refusal(text)


def test_a_bomb_of_aliases_is_refused():
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    assert "anchors" in refusal("\n".join(lines))


def test_files_that_cannot_be_read_are_refused_in_one_line(tmp_path):
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("a: é".encode("latin-1"))
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    for path, part in [
        (tmp_path / "absent.yaml", "No such file"),
        (tmp_path, "directory"),
        (latin, "not UTF-8 text (byte 3)"),
        (large, "larger than 1 MiB"),
        (tmp_path / "a\0b", "cannot be read"),
    ]:
        with pytest.raises(FerError) as caught:
            read_yaml(path, "my.yaml")
        assert str(caught.value).startswith("my.yaml: ")
        assert part in str(caught.value)
        assert str(caught.value).isprintable()


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbftrain: {epochs: 3}\n")
    assert read_yaml(path, "x") == {"train": {"epochs": 3}}
