"""The reference of the configuration says what the schema says, and its examples are read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from fer_core.config import Config, json_schema, resolve_config
from fer_core.config.keys import expectation, schema_keys, section_of
from fer_core.config.schema import plain
from fer_core.config.yaml_text import flow
from fer_core.types import DatasetSpec, ModelSpec

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")


def row(key):
    """The table row of a key; a component's name is described, and has its default, in the section above."""
    *above, last = key.split(".")
    section, parent = Config, None
    for part in above:
        parent, section = section.model_fields[part], section_of(section, part)
    field = section.model_fields[last]
    default = "required"
    if not field.is_required():
        default = f"`{flow(plain(field.default))}`"
    elif parent is not None and not parent.is_required():
        default = f"`{plain(parent.default)[last]}`"
    component = last == "name" and key != "data.name"
    meaning = parent.description if component else field.description
    return f"| `{key}` | {expectation((*above, last))} | {default} | {meaning} |"


@pytest.mark.parametrize("key", list(schema_keys()))
def test_every_key_stands_on_the_page_with_type_default_and_meaning(key):
    assert row(key) in PAGE.splitlines()


def test_the_page_has_no_key_that_the_schema_lacks():
    assert re.findall(r"^\| `([\w.]+)` \|", PAGE, flags=re.MULTILINE) == list(schema_keys())


def test_the_examples_are_valid(tmp_path):
    model = ModelSpec(name="dan", factory="x:y", recipes={}, summary="", paper="", licence="", upstream="")
    dataset = DatasetSpec(
        name="rafdb",
        factory="x:y",
        classes=(),
        splits={},
        layouts={},
        expected_counts={},
        summary="",
        licence="",
        homepage="",
    )
    files = []
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(text, encoding="utf-8")
    overrides = [double or bare for double, bare in re.findall(r" -o (?:'([^']+)'|([^\s`']+=[^\s`']+))", PAGE)]
    assert files
    assert len(overrides) >= 4
    for file in files:
        resolve_config(model, dataset, [file])
    for override in overrides:
        resolve_config(model, dataset, overrides=[override])


def test_editors_get_the_documented_keys():
    properties = json_schema()["$defs"]["Train"]["properties"]
    keys = {key.removeprefix("train.").partition(".")[0] for key in schema_keys() if key.startswith("train.")}
    assert set(properties) == keys
    assert yaml.safe_load(PAGE.split("```yaml\n")[1].split("```")[0])
