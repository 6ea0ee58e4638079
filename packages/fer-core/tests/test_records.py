"""Records: one line that names file, field, what was found and what to do; otherwise an object to trust."""

from typing import Literal

import pytest
from fer_core.errors import FerError
from fer_core.records import MAX_BYTES, Record


class Split(Record):
    holdout: float
    names: tuple[str, ...] = ()
    select: Literal["last", "best"] = "last"


class Sheet(Record):
    format: Literal[2] = 2
    count: int
    split: Split
    note: str = ""


GOOD = '{"count": 3, "split": {"holdout": 1, "names": ["a"]}}'


def test_a_good_text_gives_an_object_and_its_text_gives_the_same_object():
    sheet = Sheet.parse(GOOD, "sheet.json", "make it again")
    assert (sheet.count, sheet.split.holdout, sheet.split.names, sheet.format) == (3, 1.0, ("a",), 2)
    assert Sheet.parse(sheet.text(), "sheet.json", "make it again") == sheet


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"count": "3", "split": {"holdout": 1}}', 'count is "3", expected a whole number'),
        ('{"count": true, "split": {"holdout": 1}}', "count is true, expected a whole number"),
        ('{"count": 3, "split": {"holdout": null}}', "split.holdout is null, expected a number"),
        ('{"count": 3, "split": {"holdout": 1, "names": ["a", 7]}}', "split.names[1] is 7, expected text"),
        (
            '{"count": 3, "split": {"holdout": 1, "select": "all"}}',
            "split.select is \"all\", expected 'last' or 'best'",
        ),
        ('{"count": 3, "split": []}', "split is a list of 0, expected a mapping"),
        ('{"count": 3}', "split is missing"),
        ('{"count": 3, "split": {"holdout": 1}, "extra\\n": 1}', "extra\\n is not a known field"),
        ('{"count": 3, "split": {"holdout": NaN}}', "not valid JSON"),
        ('{"count": 3, "split": {"holdout": 1e999}}', "split.holdout is inf, expected a finite number"),
        ('{"format": 1, "count": 3, "split": {"holdout": 1}}', "format is 1, expected 2"),
        ("[" * 100_000, "not valid JSON"),
        ("", "not valid JSON"),
        ('"\udce9"', "not valid JSON"),
        ("null", "the top level is null, expected a mapping"),
    ],
)
def test_what_does_not_fit_is_one_line_with_file_field_found_and_advice(text, says):
    with pytest.raises(FerError) as caught:
        Sheet.parse(text, "sheet.json", "make it again")
    message = str(caught.value)
    assert message.startswith("sheet.json: ")
    assert message.endswith(": make it again")
    assert says in message
    assert len(message.splitlines()) == 1


def test_a_value_that_refers_to_itself_is_rejected():
    content = {"count": 3, "split": {"holdout": 1.0}}
    content["note"] = content
    with pytest.raises(FerError, match="note is a mapping"):
        Sheet.check(content, "state", "start again")


def test_files_that_cannot_be_records(tmp_path):
    with pytest.raises(FerError, match=r"cannot be read \(No such file"):
        Sheet.read(tmp_path / "missing.json", "make it again")
    with pytest.raises(FerError, match="not a regular file"):
        Sheet.read(tmp_path, "make it again")
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(FerError, match="larger than 256 MiB"):
        Sheet.read(huge, "make it again")
