"""Whether all that plugins declare is there: references, recipes, experiments and dependencies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from fer_core import registry
from fer_core.boundary import describe
from fer_core.card import LABEL, read_card
from fer_core.checks import check_components
from fer_core.config import resolve_config
from fer_core.errors import FerError, nearest
from fer_core.experiments.schema import check_experiment, read_experiment
from fer_core.makers import CORE
from fer_core.plugins import installed_versions, load_plugins, normalize, requirements
from fer_core.reports.claims import read_published
from fer_core.types import bare
from fer_core.weights.address import is_address
from fer_core.weights.checkpoint import read_header
from fer_core.weights.named import named_file
from fer_core.workflows.import_weights import NO_DATASET

if TYPE_CHECKING:
    from fer_core.plugins import Plugin
    from fer_core.published import WeightsSpec


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
    """Import what a name refers to; check the recipes of a model, the files of an experiment, weights and cards.

    Raises:
        FerError: Something is missing, or a recipe, an experiment, weights or a card are wrong.
    """
    registry.factory(kind, name)
    spec = registry.find(kind, name)
    if kind == "models":
        for recipe in spec.recipes:
            check_components(resolve_config(spec, replace(NO_DATASET, name=recipe)).config)
    elif kind == "weights":
        check_weights(spec)
    elif kind == "experiments":
        check_experiment(read_experiment(name), name)
        read_published(spec)


def check_weights(spec: WeightsSpec) -> None:
    """Read the card of weights and, unless it would be downloaded, the header of their file.

    Raises:
        FerError: Card or file is missing or damaged, or they do not belong together.
    """
    card = read_card(spec)
    if is_address(spec.file):
        if spec.sha256 is None:
            raise FerError(f"no sha256 is declared for {spec.file}: declare that of the file")
        return
    header = read_header(named_file(spec))
    if normalize(header.model.name) != normalize(bare(spec.model)):
        raise FerError(f"the file holds weights of {header.model.name}, not of {spec.model}: correct one")
    if card.head not in (LABEL, *header.targets):
        raise FerError(f"the card names the head {card.head}: {nearest(card.head, [LABEL, *header.targets])}")
