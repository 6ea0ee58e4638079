"""Layers of a configuration: later ones win, and every value remembers the layer it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from pathlib import Path, PurePath
from typing import Any

from pydantic import ValidationError

from fer_core.config.keys import expectation, schema_keys, section_of
from fer_core.config.names import shorten_names
from fer_core.config.schema import Component, Config, Section, plain
from fer_core.config.yaml_text import MAX_DEPTH, MAX_KEY, Tree, Yaml, flow, parse_yaml, read_yaml
from fer_core.errors import FerError, nearest, one_line
from fer_core.plugins import load_plugins
from fer_core.refs import read_resource
from fer_core.types import DatasetSpec, ModelSpec

DEFAULTS = "defaults"
COMMAND_LINE = "command line"
OVERRIDE = "-o"
ARGUMENT = "argument"


@dataclass(frozen=True)
class Resolved:
    """A configuration, and for the dotted name of every value the layer it came from."""

    config: Config
    origin: dict[str, str]


def resolve_config(
    model: ModelSpec,
    dataset: DatasetSpec,
    files: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    flags: Mapping[str, Yaml] | None = None,
    arguments: Mapping[str, Any] | None = None,
    weights: tuple[str, Tree] | None = None,
) -> Resolved:
    """Merges all layers: defaults, recipe, trained weights, `-c` files, `-o` overrides or arguments, options.

    The recipe is that of the dataset, or `default` where there is none: recipes do not inherit from one another.

    Mappings merge key by key and lists are replaced. A layer that gives a component (`optimizer`, ...) another
    name drops the options that earlier layers gave that component. Where several distributions claim a name, a
    recipe means the component of its own distribution.

    Args:
        model: Its recipe for the dataset is a layer.
        dataset: The dataset's spec.
        files: YAML files, in order.
        overrides: `a.b=value`, in order; the value is YAML.
        flags: Dotted key to value, for options such as `--seed`; None means that the option was not given.
        arguments: Sections as a Python call gives them.
        weights: The layer of the weights that a training starts from: its name, and what holds for them. Their
            options of the model replace those of the recipe.

    Raises:
        FerError: One line that names the key, the value, the layer and what is expected.
    """
    merge = Merge()
    merge.add({"model": {"name": model.name}, "data": {"name": dataset.name}}, COMMAND_LINE)
    merge.specs = {"model": ("models", model), "data": ("datasets", dataset)}
    recipe = model.recipe_for(dataset.name)
    if recipe in model.recipes:
        layer = one_line(f"recipe {model.name}/{recipe}")
        homes = [entry.plugin.distribution for entry in load_plugins().claims("models", model.name)]
        home = homes[0] if len(homes) == 1 else ""
        merge.add(shorten_names(_read_recipe(model.recipes[recipe], layer), home), layer)
    if weights is not None:
        merge.drop_options("model")
        merge.add(weights[1], weights[0])
    for file in files:
        layer = one_line(str(file))
        merge.add(shorten_names(read_yaml(Path(file), layer)), layer)
    for override in overrides:
        merge.add(shorten_names(_parse_override(override)), OVERRIDE)
    merge.add(shorten_names(plain_value(arguments or {}, "", ARGUMENT)), ARGUMENT)
    for key, value in (flags or {}).items():
        if value is not None:
            merge.add(_nest(key, value, COMMAND_LINE), COMMAND_LINE)
    found = merge.resolve()
    epochs, steps = (found.origin[f"train.{key}"] for key in ("epochs", "steps"))
    if epochs in (OVERRIDE, ARGUMENT) and steps != epochs and found.config.train.steps is not None:
        section = found.config.train
        raise FerError(
            f"train.epochs is {section.epochs} ({epochs}), but train.steps is {section.steps} ({steps}) and takes "
            "its place: set train.steps=null"
        )
    return found


def load_config(path: str | Path) -> Config:
    """The configuration in a YAML file; what the file leaves out has its default.

    Raises:
        FerError: One line that names the key, the value, the file and what is expected.
    """
    layer = one_line(str(path))
    if Path(path).exists() and not Path(path).is_file():  # reading a named pipe would block
        raise FerError(f"{layer} is not a regular file: restore the configuration of the run")
    return _complete(read_yaml(Path(path), layer), layer)


def parse_config(text: str, where: str) -> Config:
    """The configuration in a YAML text, read as `load_config` does; `where` begins the message of an error."""
    return _complete(parse_yaml(text, where), where)


def change_config(config: Config, overrides: Sequence[str]) -> Config:
    """A configuration with some values changed by `a.b=value`. Raises FerError as `resolve_config`."""
    merge = Merge()
    merge.add(plain(config), DEFAULTS)
    for override in overrides:
        merge.add(_parse_override(override), OVERRIDE)
    return merge.resolve().config


def _complete(values: object, layer: str) -> Config:
    merge = Merge()
    merge.add(values, layer)
    for section in ("model", "data"):
        if "name" not in _branch(merge.values, section):
            raise FerError(f"{section}.name: missing in {layer}, which must be a complete configuration: add it")
    return merge.resolve().config


class Merge:
    """The values so far, the origin of each, and kind and spec of what `model` and `data` must name."""

    def __init__(self) -> None:
        self.values: Tree = {}
        self.origin: dict[str, str] = {}
        self.specs: dict[str, tuple[str, ModelSpec | DatasetSpec]] = {}
        self._merge(self.values, _defaults(Config), Config, (), DEFAULTS)

    def add(self, values: Any, layer: str) -> None:
        """Puts one layer over the others."""
        if not isinstance(values, Mapping):
            shown = "empty" if values is None else show(values)
            raise FerError(f"{layer}: the top level is {shown}: write a mapping such as 'train: {{epochs: 40}}'")
        self._merge(self.values, plain_value(values, "", layer), Config, (), layer)

    def drop_options(self, section: str) -> None:
        """Forgets the options that layers so far gave a component."""
        known, present = section_of(Config, section), _branch(self.values, section)
        for key in [key for key in present if known is None or key not in known.model_fields]:
            self._forget((section, key))
            del present[key]

    def resolve(self) -> Resolved:
        """Checks types and ranges of the merged values."""
        try:
            config = Config.model_validate(self.values)
        except ValidationError as error:
            raise FerError(self._explain(error)) from None
        return Resolved(config, self.origin)

    def _merge(
        self,
        into: Tree,
        values: Tree,
        section: type[Section] | None,
        above: tuple[str, ...],
        layer: str,
    ) -> None:
        """Merges `values` into the mapping at `above`; `section` is its schema, None inside free mappings."""
        for key, value in values.items():
            path = (*above, key)
            if section and key not in section.model_fields and section.model_config.get("extra") != "allow":
                raise FerError(f"{'.'.join(path)}: unknown key, {self._suggest(path, section)} ({layer})")
            child, present = section_of(section, key), into.get(key)
            if child:
                mapping = self._as_mapping(value, child, path, layer)
                self._merge(_branch(into, key), mapping, child, path, layer)
            elif isinstance(value, dict) and isinstance(present, dict):
                if value:  # else nothing is added, and the present values keep their origin
                    self.origin.pop(".".join(path), None)
                    self._merge(present, value, None, path, layer)
            elif key == "name" and path[0] in self.specs and len(path) == 2:
                self._check_name(path[0], value, layer)
            else:
                self._forget(path)
                into[key] = value
                self.origin.update(dict.fromkeys(_leaves(value, ".".join(path)), layer))

    def _as_mapping(self, value: Yaml, child: type[Section], path: tuple[str, ...], layer: str) -> Tree:
        """A section's value as a mapping; a component that gets another name forgets its options."""
        component = issubclass(child, Component)
        if component and isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict):
            raise FerError(f"{'.'.join(path)} is {show(value)} ({layer}): expected {expectation(path)}")
        if component and "name" in value and path[0] not in self.specs:
            parent = self.values
            for part in path[:-1]:
                parent = _branch(parent, part)
            before = _branch(parent, path[-1])
            if "name" in before and _fold(before["name"]) != _fold(value["name"]):
                self._forget(path)
                before.clear()
                self._merge(before, _defaults(child), child, path, DEFAULTS)
        return value

    def _check_name(self, section: str, value: Yaml, layer: str) -> None:
        """The command names model and dataset; a layer may repeat the name but not change it."""
        kind, spec = self.specs[section]
        if not isinstance(value, str) or not load_plugins().means(kind, value, spec):
            raise FerError(
                f"{section}.name is {show(value)} ({layer}), but the command is for {spec.name}:"
                " remove the key, or give its value in the command"
            )

    def _forget(self, path: tuple[str, ...]) -> None:
        dotted = ".".join(path)
        for key in [k for k in self.origin if k == dotted or k.startswith(dotted + ".")]:
            del self.origin[key]

    def _suggest(self, path: tuple[str, ...], section: type[Section]) -> str:
        leaf, siblings = path[-1], list(section.model_fields)
        above = "".join(f"{part}." for part in path[:-1])
        near = [above + key for key in get_close_matches(leaf, siblings, n=1)]
        if not near:
            near = [key for key in dict.fromkeys((*schema_keys(), *self.origin)) if key.split(".")[-1] == leaf][:3]
        return f"did you mean {' or '.join(near)}?" if near else nearest(leaf, siblings)

    def _explain(self, error: ValidationError) -> str:
        problem = error.errors(include_url=False, include_context=False)[0]
        path: list[str] = []
        section: type[Section] | None = Config
        value: Any = self.values
        for part in problem["loc"]:
            if not section or part not in section.model_fields:
                break
            path.append(str(part))
            section, value = section_of(section, path[-1]), value.get(part)
        dotted = ".".join(path)
        layers = [layer for key, layer in self.origin.items() if key == dotted or key.startswith(dotted + ".")]
        return (
            f"{dotted} is {show(value)} ({layers[0] if layers else DEFAULTS}): expected {expectation(tuple(path))}"
        )


def show(value: Any) -> str:
    """`value` on one line, shortened, as YAML writes it."""
    text = one_line(flow(value))
    return text if len(text) <= 60 else text[:57] + "..."


def plain_value(value: Any, path: str, layer: str, depth: int = 0) -> Any:
    """A copy of plain YAML values; paths become text and tuples lists.

    Raises:
        FerError: A key that cannot be one, a number that is not finite, any other type.
    """
    if depth > MAX_DEPTH:
        raise FerError(f"{path:.60}...: nested deeper than {MAX_DEPTH} levels in {layer}: flatten it")
    if isinstance(value, Mapping):
        return {
            _checked_key(key, path, layer): plain_value(item, f"{path}.{key}" if path else key, layer, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain_value(item, path, layer, depth + 1) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, float) and not isfinite(value):
        raise FerError(f"{path} is {value} ({layer}): expected a finite number")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise FerError(f"{path} is a {type(value).__name__} ({layer}): expected text, a number, true, false or null")


def _checked_key(key: Any, path: str, layer: str) -> str:
    where = f" in {path}" if path else ""
    if not isinstance(key, str) or not key or len(key) > MAX_KEY or not key.isprintable():
        raise FerError(
            f"{one_line(repr(key))[:60]}{where}: not a valid key ({layer}): use 1 to {MAX_KEY} printable "
            "characters"
        )
    if "." in key:
        section, _, rest = key.partition(".")
        full = f"{path}.{key}" if path else key
        raise FerError(
            f"{key}{where}: a key has no dots in {layer}: write {section}: {{{rest}: ...}}, or use -o {full}=..."
        )
    return key


def _read_recipe(ref: str, layer: str) -> Yaml:
    try:
        text = read_resource(ref)
    except (OSError, ImportError, ValueError) as error:
        raise FerError(one_line(f"{layer}: cannot read {ref} ({error}): reinstall the plugin")) from None
    return parse_yaml(text, layer)


def _parse_override(override: str) -> Tree:
    key, equals, text = override.partition("=")
    key = one_line(key.strip())
    if not equals:
        raise FerError(f"-o {key}: has no value: write KEY=VALUE, for example -o train.epochs=40")
    return _nest(key, parse_yaml(text, f"-o {key}"), OVERRIDE)


def _nest(dotted: str, value: Yaml, layer: str) -> Tree:
    parts = dotted.split(".")
    if not all(parts):
        raise FerError(
            f"{dotted[:60] or 'an empty key'}: not a key ({layer}): write SECTION.KEY, for example train.epochs"
        )
    tree: Tree = {parts[-1]: value}
    for part in reversed(parts[:-1]):
        tree = {part: tree}
    return tree


def _branch(tree: Tree, key: str) -> Tree:
    """The mapping under `key`, which is a section; an empty one where there is none yet."""
    branch = tree.setdefault(key, {})
    assert isinstance(branch, dict)
    return branch


def _defaults(section: type[Section]) -> Tree:
    """The defaults, which hold before any layer."""
    values: Tree = {}
    for key, field in section.model_fields.items():
        child = section_of(section, key)
        if not field.is_required():
            values[key] = plain(field.default)
        elif child:
            values[key] = _defaults(child)
    return values


def _leaves(value: Yaml, dotted: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{dotted}.{key}")
    else:
        yield dotted


def _fold(name: Any) -> Any:
    """The form in which names are compared: case does not matter, nor whether `-` or `_` is written."""
    return name.casefold().replace("-", "_") if isinstance(name, str) else name
