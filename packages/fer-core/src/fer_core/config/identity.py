"""Which keys of a configuration decide the result: the hash over them, and what differs between two of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fer_core.config.layers import show
from fer_core.config.schema import plain

if TYPE_CHECKING:
    from pydantic import JsonValue

    from fer_core.config.schema import Config

WITHOUT_EFFECT = ("run", "data.root", "data.workers", "train.save_every")
"""Keys, or whole sections, that cannot change a result: where things are, and how often the state is saved."""


def settings(config: Config, without: tuple[str, ...] = WITHOUT_EFFECT) -> dict[str, JsonValue]:
    """The values of a configuration by dotted keys.

    Args:
        config: The configuration. Trained weights count by their content, backbone weights by file name, whatever
            their folder.
        without: Keys and sections to leave out.
    """
    values = plain(config)
    if config.model.weights_sha256:
        del values["model"]["weights"]
    if config.model.backbones:
        values["model"]["backbone_weights"] = [place.rpartition("/")[2] for place in config.model.backbones]
    flat = _flatten(values)
    return {key: value for key, value in flat.items() if not _is_below(key, without)}


def config_hash(config: Config) -> str:
    """sha256 over everything in a configuration that can change the result: all but `WITHOUT_EFFECT`."""
    text = json.dumps(settings(config), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def edits(before: Config, after: Config) -> list[str]:
    """What differs between two configurations and can change the result, as `train.seed: 0, now 1`."""
    old, new = settings(before), settings(after)
    return [
        f"{key}: {show(old[key]) if key in old else 'absent'}, now {show(new[key]) if key in new else 'absent'}"
        for key in dict.fromkeys((*old, *new))
        if key not in old or key not in new or old[key] != new[key]
    ]


def _flatten(tree: Mapping[str, JsonValue], prefix: str = "") -> dict[str, JsonValue]:
    """Flatten nested mappings to dotted keys; an empty mapping stays a value."""
    flat: dict[str, JsonValue] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _is_below(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)
