"""The hooks of fer: one file for each part of the framework, one function for each hook.

A plugin is a module that implements some of them and is named by an entry point of the group `fer_core`.
Hooks declare, they never act: they return names and specs, and what stands behind a name is imported when it is
used. Collecting hooks take no arguments, so they only ever grow by new hooks and by new keyword-only fields.
"""

from __future__ import annotations

import pluggy

PROJECT = "fer_core"
"""pluggy's project name, and the entry-point group of every plugin."""

HOOK_API = 1
"""Version of the set of hooks. It rises when a plugin written for the version before would break."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin's module as the implementation of the hook that has its name."""

__all__ = ["HOOK_API", "PROJECT", "hookimpl", "hookspec"]
