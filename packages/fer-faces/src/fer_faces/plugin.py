"""The plugin's hook: detectors."""

from __future__ import annotations

from collections.abc import Mapping

from fer_core.plugin import Ref, hookimpl


@hookimpl
def fer_detectors() -> Mapping[str, Ref]:
    """The detectors `centerface` and `yunet`."""
    return {"centerface": "fer_faces.centerface:CenterFace", "yunet": "fer_faces.yunet:YuNet"}
