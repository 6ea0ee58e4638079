"""The page `reference/plugin.md`: an entry for everything that `fer_core.plugin` exports."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pluggy
from docstrings import call, described, signature
from fer_core import builtins, plugin
from pydantic import BaseModel

INTRODUCTION = f"""\
# What plugins import

<!-- Written by docs/build_reference.py from the docstrings of what fer_core.plugin exports: edit those. -->

`fer_core.plugin` exports everything that a plugin may import of the core. Its names are stable: one is removed, or
changes its meaning, only when `HOOK_API` rises; it is {plugin.HOOK_API} here. Importing the module loads neither
torch nor numpy: what needs them is imported when it is first asked for.

```python
from fer_core.plugin import DatasetSpec, ModelSpec, hookimpl
```

Tests of a plugin may also use `fer_core` ([Python interface](python.md)) and `fer_core.testing`. The
[hooks](hooks.md) say where each type is used.
"""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Hooks and errors": ("hookimpl", "HOOK_API", "FerError", "nearest", "Ref", "Names"),
    "Specs": (
        *("ModelSpec", "Weights", "Claim", "ClassOrder", "WeightsSpec", "Card", "CardInput", "CardFigure"),
        *("DatasetSpec", "Role", "EXPRESSIONS", "SplitSpec"),
        *("MetricSpec", "Measured", "ExperimentSpec", "CommandSpec"),
    ),
    "Batches": ("Batch", "Output", "Losses", "TaskInfo", "Progress"),
    "Datasets": (
        *(
            "FERDataset",
            "Pack",
            "ClassChanges",
            "Image",
            "make_fingerprint",
            "decode_image",
            "decode_bytes",
            "image_names",
        ),
        *("image_size", "open_file", "show_progress", "write_atomically"),
    ),
    "Faces": ("Alignment", "Template", "FivePoints", "Detector", "Detection", "make_scene"),
    "Models and their weights": (
        *(
            "resnet18",
            "ResidualBlock",
            "at_least_float32",
            "no_autocast",
            "fold_batch_norm",
            "Frozen",
            "check_state",
            "unwrap",
        ),
    ),
    "Losses": ("Loss", "target_term", "SampleBuffer", "Scan", "distributed"),
    "Transforms": ("Transform", "Views", "Picture", "to_tensor", "SampleRandom", "derive_seed", "Preprocessing"),
    "Training": (
        "Trainer",
        "Batches",
        "StateDict",
        "Callback",
        "scalars",
        "TrainingView",
        "Position",
        "MetricsRow",
        "PlainState",
        "Config",
        "Device",
    ),
    "Experiments": ("Executor", "PlannedRun", "SplitChoice", "run_here"),
}
"""Every exported name, in the order of the page."""


def plugin_page() -> str:
    """The page."""
    lines = [INTRODUCTION]
    for title, names in GROUPS.items():
        lines += [f"## {title}", ""]
        for name in names:
            lines += [f"### `{name}`", "", *entry(name)]
    return "\n".join([*lines, *reserved(), ""])


def entry(name: str) -> Iterator[str]:
    """One exported name: how it is written, its docstring, and the methods of a class or functions of a module."""
    value = getattr(plugin, name)
    if isinstance(value, ModuleType):
        yield from described(inspect.getdoc(value) or "")
        for function in value.__all__:
            yield from call(f"{name}.{function}", getattr(value, function))
    elif inspect.isclass(value):
        yield f"`{written(name, value)}`"
        yield ""
        yield from described(inspect.getdoc(value) or "")
        for method, member in vars(value).items():
            if not method.startswith("_") and isinstance(member, property | classmethod):
                yield from call(f"{name}.{method}", member if isinstance(member, property) else member.__func__)
            elif not method.startswith("_") and inspect.isfunction(member):
                yield from call(f"{name}.{method}", member)
    elif inspect.isfunction(value):
        yield from call(name, value)
    else:
        assigned, text = alias(name)
        yield f"`@{name}`" if isinstance(value, pluggy.HookimplMarker) else f"`{name} = {assigned}`"
        yield ""
        yield from described(text)


def written(name: str, value: type) -> str:
    """How a class is made, or what it is derived from where it is made by deriving from it."""
    if issubclass(value, BaseModel):
        shown = (key if field.is_required() else f"{key}=..." for key, field in value.model_fields.items())
        return f"{name}(*, {', '.join(shown)})"
    if "__init__" in vars(value) and not getattr(value, "_is_protocol", False):
        return f"{name}{signature(value)}"
    bases = [base.__name__ for base in value.__bases__ if base is not object]
    return f"class {name}({', '.join(bases)})" if bases else f"class {name}"


def alias(name: str) -> tuple[str, str]:
    """What a name is assigned in its module, and the string below that, which documents it."""
    for module in (node.module for node in imports() if name in {each.name for each in node.names}):
        body = ast.parse(inspect.getsource(import_module(str(module)))).body
        for statement, below in pairwise(body):
            match statement:
                case ast.Assign(targets=[ast.Name(id=found)], value=value):
                    pass
                case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value):
                    pass
                case _:
                    continue
            if found == name:
                text = below.value.value if isinstance(below, ast.Expr) else ""
                return ast.unparse(value).strip("'"), inspect.cleandoc(text)
    raise LookupError(f"{name} is assigned nowhere")


def imports() -> list[ast.ImportFrom]:
    """The imports of `fer_core.plugin`, those for type checkers among them."""
    tree = ast.parse(Path(str(plugin.__file__)).read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


def reserved() -> Iterator[str]:
    """The names that the core keeps for itself."""
    yield "## Reserved names\n"
    yield "A plugin cannot claim these names of the core; case, `-` and `_` make no difference.\n"
    yield "| Hook | Names |\n|---|---|"
    for hook, function in vars(builtins).items():
        if hook.startswith("fer_"):
            names = (getattr(value, "name", value) for value in function())
            yield f"| `{hook}` | {', '.join(f'`{name}`' for name in names)} |"
