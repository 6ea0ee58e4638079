"""Configuration: a typed schema, layers that know their origin, YAML in and out."""

from __future__ import annotations

from fer_core.config.identity import config_hash, edits, settings
from fer_core.config.layers import Resolved, change_config, load_config, parse_config, resolve_config
from fer_core.config.output import describe, dump_config, json_schema
from fer_core.config.schema import CallbackItem, Component, Config

__all__ = [
    "CallbackItem",
    "Component",
    "Config",
    "Resolved",
    "change_config",
    "config_hash",
    "describe",
    "dump_config",
    "edits",
    "json_schema",
    "load_config",
    "parse_config",
    "resolve_config",
    "settings",
]
