"""Whether all that plugins declare is there: references, recipes, experiments and dependencies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from fer_core import registry
from fer_core.boundary import describe
from fer_core.checks import check_components
from fer_core.config import resolve_config
from fer_core.experiments.schema import check_experiment, read_experiment
from fer_core.makers import CORE
from fer_core.plugins import installed_versions, load_plugins, requirements
from fer_core.reports.claims import read_published
from fer_core.workflows.import_weights import NO_DATASET

if TYPE_CHECKING:
    from fer_core.plugins import Plugin


def find_broken() -> Iterator[str]:
    """One line for each missing dependency of a plugin, and for each component that cannot be used."""
    plugins = load_plugins().loaded
    for distribution in dict.fromkeys(plugin.distribution for plugin in plugins):
        needed = [] if distribution == CORE else requirements(distribution)
        for name in [each for each in needed if not installed_versions([each])]:
            yield f"{distribution} needs {name}, which is not installed: pip install {name}"
    for plugin in plugins:
        yield from _broken_components(plugin)


def _broken_components(plugin: Plugin) -> Iterator[str]:
    for kind, names in plugin.names.items():
        for name in names:
            qualified = f"{name}@{plugin.distribution}"
            try:
                check_component(kind, qualified)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # whatever a plugin raises is a finding
                whose, what = str(registry.maker(kind, qualified)), describe(error)
                yield what if whose in what else f"{whose}: {what}"


def check_component(kind: str, name: str) -> None:
    """Import what a name refers to; resolve and check the recipes of a model, and the files of an experiment.

    Raises:
        FerError: Something is missing, or a recipe or an experiment is wrong.
    """
    registry.factory(kind, name)
    spec = registry.find(kind, name)
    if kind == "models":
        for recipe in spec.recipes:
            check_components(resolve_config(spec, replace(NO_DATASET, name=recipe)).config)
    elif kind == "experiments":
        check_experiment(read_experiment(name), name)
        read_published(spec)
