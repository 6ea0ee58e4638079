"""The plugin: one detector."""

from fer_core.plugin import hookimpl


@hookimpl
def fer_detectors() -> dict[str, str]:
    """`--detect sharp`."""
    return {"sharp": "fer_detector_function.detector:Sharp"}
