"""YAML in and out: YAML 1.2 scalars, plain values only, nothing that expands or runs.

PyYAML follows YAML 1.1, where `1e-4` is text and `on` is a boolean; both are traps in a recipe. Here a scalar is
read by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from fer_core.errors import FerError, one_line

Yaml: TypeAlias = "bool | int | float | str | list[Yaml] | dict[str, Yaml] | None"
"""A plain value of a YAML document."""
Tree: TypeAlias = dict[str, Yaml]
"""A mapping of one."""

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 20_000
"""Keys and values of a document: PyYAML reads about 50,000 a second."""
MAX_KEY = 100

_TAG = "tag:yaml.org,2002:"
_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses what could expand (aliases), run (tags) or recurse deeply."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    where = ""
    depth = 0
    nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise FerError(f"{self.where}, line {line}: anchors and aliases are not allowed: write the value out")
        if event.tag is not None:
            raise FerError(f"{self.where}, line {line}: the tag {event.tag} is not allowed: use plain values")
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise FerError(f"{self.where}, line {line}: more than {MAX_NODES:,} values: shorten it")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FerError(f"{self.where}, line {line}: nested deeper than {MAX_DEPTH} levels: flatten it")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes what a YAML 1.1 or a 1.2 reader would not read as text, so that both read the same."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar(_TAG + "str", text, style=style)


_Dumper.add_representer(str, _represent_text)
for _kind, _pattern, _first in _SCALARS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_pattern})\Z"), _first)


def _scalar(node: yaml.ScalarNode, where: str) -> Yaml:
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    try:
        if kind == "int":
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if kind == "float":
            return float(re.sub(r"\.(inf|nan)$", r"\1", text.lower()))
    except ValueError:  # Python refuses integers of thousands of digits
        raise FerError(f"{where}, line {node.start_mark.line + 1}: the number is too long to read") from None
    return text


def _value(node: yaml.Node, where: str) -> Yaml:
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, where)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, where) for item in node.value]
    result: Tree = {}
    for key_node, value_node in node.value:
        key = _value(key_node, where)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise FerError(f"{where}, line {line}: the key {key!r:.60} is not text: put it in quotes")
        if key in result:
            raise FerError(f"{where}, line {line}: the key {key!r:.60} stands twice in one mapping: remove one")
        result[key] = _value(value_node, where)
    return result


def parse_yaml(text: str, where: str) -> Yaml:
    """Value of a YAML document: None, bool, int, float, str, list, or dict with text keys.

    Raises:
        FerError: Not YAML, too large, too many values, too deep, a duplicate key, an alias, a tag; the line starts
            with `where`.
    """
    _check_size(len(text), where)
    try:
        loader = _Loader(text)
        loader.where = where
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise FerError(one_line(f"{where}{line}: not valid YAML: {error.problem}: correct it")) from None
    except yaml.YAMLError as error:
        raise FerError(one_line(f"{where}: not valid YAML: {' '.join(str(error).split())}: correct it")) from None
    return None if node is None else _value(node, where)


def read_yaml(path: Path, where: str) -> Yaml:
    """Value of a YAML file; see `parse_yaml`.

    Raises:
        FerError: Also when the file is missing, unreadable or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise FerError(f"{where}: cannot be read ({reason}): check the path") from None
    _check_size(len(data), where)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FerError(f"{where}: not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    return parse_yaml(text, where)


def _check_size(size: int, where: str) -> None:
    if size > MAX_BYTES:
        raise FerError(
            f"{where}: larger than {MAX_BYTES >> 20} MiB, the limit of a configuration: give another file"
        )


def flow(value: Any) -> str:
    """`value` as YAML on one line, read back equal by `parse_yaml`. Keys keep the order they have."""
    inline = isinstance(value, dict | list)
    # A text may stand plain in a block that needs quotes inside brackets: `best:val`.
    text: str = yaml.dump(
        [value] if inline else {"k": value},
        Dumper=_Dumper,
        default_flow_style=inline,
        sort_keys=False,
        allow_unicode=True,
        width=1 << 31,
    )
    return text.strip()[1:-1] if inline else text.removeprefix("k:").strip()
