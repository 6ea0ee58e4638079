"""The header of the weight files of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_core import registry
from fer_core.config.names import component_names
from fer_core.data.union import UnionSpec, find_dataset
from fer_core.errors import one_line
from fer_core.hookspecs import HOOK_API
from fer_core.preprocessing import Preprocessing
from fer_core.provenance import Component, Dataset, Model, Split, relabelled
from fer_core.types import ROLES
from fer_core.weights.header import FORMAT, Header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fer_core.config import Config
    from fer_core.data.prepare import PreparedData
    from fer_core.provenance import Start


def list_components(config: Config, device: str) -> tuple[Component, ...]:
    """What a run is made of, and which distributions bring it, in the order of kinds and names.

    Args:
        config: Of the run.
        device: Name of the device that it computes on.

    Raises:
        FerError: A component does not exist.
    """
    spec = find_dataset(config.data.name)
    parts = spec.parts if isinstance(spec, UnionSpec) else (spec,)
    named = component_names(config) | {("datasets", part.name) for part in parts}
    named |= {("models", config.model.name), ("devices", device)}
    return tuple(sorted({component_of(*each) for each in named}, key=lambda of: (of.kind, of.name)))


def component_of(kind: str, name: str) -> Component:
    """A component by its name, and the distribution that brings it. Raises FerError where it does not exist."""
    found = registry.entry(kind, name)
    home = found.plugin
    return Component(kind=kind, name=found.name, distribution=home.distribution, version=home.version)


def make_header(config: Config, data: PreparedData, start: Start, components: Sequence[Component] = ()) -> Header:
    """The header of the weight files of a training, without the selection of the weights."""
    section, table, dataset = config.data, config.data.classes, data.dataset
    return Header(
        format=FORMAT,
        hook_api=HOOK_API,
        model=Model(name=config.model.name, options=config.model.options),
        classes=dataset.classes,
        preprocessing=Preprocessing.from_config(section, dataset.alignment),
        dataset=Dataset(
            name=data.spec.name,
            fingerprint=data.fingerprint,
            options=section.options,
            kept_classes=tuple(table) if isinstance(table, list) else (),
            renamed_classes=table if isinstance(table, dict) else {},
            layout=one_line(dataset.layout),
            label_space={name: relabelled(changes) for name, changes in dataset.label_space.items()},
            votes_unused=dataset.votes_unused,
            counts={role: data.counts(role) for role in ROLES if len(data.rows(role))},
            soft_targets=data.soft.sha256 if data.soft else (),
        ),
        split=Split(
            protocol=one_line(data.split.protocol),
            holdout=section.holdout,
            seed=section.split_seed,
            digest=data.split.digest,
            fraction=data.split.fraction,
        ),
        start=start,
        targets={name: target.classes for name, target in data.targets.items()},
        # Equal runs may differ in what watches them, and in where they run.
        components=tuple(of for of in components if of.kind not in ("callbacks", "devices")),
    )
