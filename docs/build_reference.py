"""Write the reference pages that docstrings are the source of; `--check` only says whether they are current.

python docs/build_reference.py [--check]
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from docstrings import call, described
from fer_core import api
from fer_core.hookspecs import HOOK_API, PROJECT, device, loss, registry, trainer
from plugin_page import plugin_page

REFERENCE = Path(__file__).resolve().parent / "reference"
EXAMPLES = Path(__file__).resolve().parent / "hooks"
MODULES = (registry, trainer, loss, device)

INTRODUCTION = f"""\
# Hooks

<!-- Written by docs/build_reference.py from the docstrings in fer_core/hookspecs/ and from docs/hooks/. -->

A plugin is a module that implements some of these functions, marked with `hookimpl`, and is named by an entry
point of the group `{PROJECT}`:

```toml
[project.entry-points.{PROJECT}]
my_plugin = "my_plugin.plugin"
```

[`fer_core.plugin`](plugin.md) exports `hookimpl`, the types on this page and all else that a plugin may import.

Hooks declare names, they never act. A value is an object or an import reference `"package.module:attribute"`;
references keep `fer-run --help` and `fer-run list` quick, because what they name is imported when it is used.

A factory's first parameters are the framework's, as "Factory" says below; all others are options. Annotate
them: the options of a configuration are checked by pydantic against the annotations before anything starts. So
`lr: Annotated[float, Field(gt=0)]` rejects text and 0 in one line, and `betas: tuple[float, float]` gets a
tuple for a YAML list. Parameters without an annotation, or with one that names what is imported for type
checkers only, take any value. An option that names another component is `Annotated[str,
Names("optimizers")]`.

What a plugin does wrong stays its own failure: one line on stderr, all else works, and `fer-run doctor` shows
it again, with the time that each plugin takes to load. This holds for whatever a plugin raises when it is
imported or asked, `SystemExit` included, for damaged metadata, and for fields of specs that have the wrong type.
What it prints meanwhile is reported instead of printed, since standard output is for results; with `--json`,
what plugins print later goes to stderr, too.

A name that two plugins claim is an error when it is used without its distribution, `NAME@DISTRIBUTION`; the
core's names cannot be claimed. Names have letters, digits, `_`, `-`, `+` and `.`. `FER_DISABLE_PLUGINS=a,b`
leaves out entry points or distributions; `FER_STRICT=1` raises what a plugin raises, with its traceback, for its
author.

This is version {HOOK_API} of the hooks (`HOOK_API`). A plugin that needs a newer one says so in the
module that its entry point names, by `requires_hook_api = {HOOK_API + 1}`. An older fer-core then uses it without
the hooks and the fields of specs that it does not know, and reports them; in other plugins these are mistakes.
"""


PYTHON = """\
# Python interface

<!-- Written by docs/build_reference.py from the docstrings in fer_core/api.py: edit those. -->

What the command line does, as calls: `import fer_core`. Everything that a user can correct raises
`fer_core.FerError` with one line that says what, why and what to do.

```python
import fer_core

run = fer_core.train("dan", "synthetic", train={"epochs": 3})
print(fer_core.calibrate(run.folder).temperature)
print(fer_core.evaluate(run.folder).metrics.accuracy)
print(fer_core.Predictor(run.folder)("face.png")[0].label)
```

The pieces work without the rest: `examples/plain_loop.py` trains with a loop of its own over a `DataLoader`.

`Run` and `resume` are in `fer_core.api`, all else in `fer_core`. What the command line shows
while it works is [logged](../how-to/loggers.md#messages): `logging.basicConfig(level=logging.INFO,
format="%(message)s")` shows it, in a notebook too.
"""
FIRST = (
    *("train", "resume", "Run", "evaluate", "calibrate", "diagnose", "Predictor", "import_weights"),
    *("open_dataset", "OpenedDataset", "TorchDataset", "create_transform", "create_model"),
    *("load_model", "TrainedModel"),
)
"""What the page begins with."""


def hooks(module: ModuleType) -> dict[str, str]:
    """Name -> docstring of the hooks of a module, in the order of its source."""
    found = [
        value for name, value in vars(module).items() if name.startswith("fer_") and inspect.isfunction(value)
    ]
    return {function.__name__: inspect.getdoc(function) or "" for function in found}


def section(function: str, module: ModuleType) -> str:
    """One hook as Markdown: its signature, then its docstring with the section names set bold."""
    specification = getattr(module, function)
    first = " (the first result wins)" if specification.fer_core_spec["firstresult"] else ""
    head = f"### `{function}{inspect.signature(specification)}`".replace("'", "") + first
    return "\n".join([head, "", *described(hooks(module)[function]), *example(function)])


def example(hook: str) -> Iterator[str]:
    """The files of a hook's example, which the tests install and use; none where the docstring has an example."""
    files = sorted((EXAMPLES / hook).glob("*.*"), key=lambda file: (file.name != "__init__.py", file.name))
    if files:
        yield "**Example**\n"
    for file in files:
        language = {".yaml": "yaml", ".json": "json"}.get(file.suffix, "python")
        yield f"`my_plugin/{file.name}`\n\n```{language}\n{file.read_text(encoding='utf-8')}```\n"


def exported(name: str) -> str:
    """A function or a class of the Python interface, with the methods that the class shows."""
    value = getattr(api, name)
    lines = [f"## `{name}`", "", *call(name, value)]
    if inspect.isclass(value):
        for method, member in vars(value).items():
            if method == "__call__":
                lines += call(f"{name}(...)", member)
            elif not method.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                lines += call(f"{name}.{method}", member)
    return "\n".join(lines)


def python_page() -> str:
    """The page of the Python interface."""
    names = [*FIRST, *(name for name in api.__all__ if name not in FIRST)]
    return "\n".join([PYTHON, *map(exported, names)])


def hooks_page() -> str:
    """The page of all hooks."""
    parts = [INTRODUCTION]
    for module in MODULES:
        parts.append(f"## {inspect.getdoc(module)}\n".replace(".\n", "\n"))
        parts += [section(function, module) for function in hooks(module)]
    return "\n".join(parts)


def pages() -> dict[Path, str]:
    """Every generated page."""
    written = {"hooks": hooks_page(), "plugin": plugin_page(), "python": python_page()}
    return {REFERENCE / f"{name}.md": text for name, text in written.items()}


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is stale")
    check = parser.parse_args().check
    stale = [
        path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        print(f"{path.name} is stale: run python docs/build_reference.py" if check else f"wrote {path.name}")
        if not check:
            path.write_text(pages()[path], encoding="utf-8")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
