"""The calls of a program: data, training, evaluation, prediction. What plugins import is in `fer_core.plugin`.

What needs torch is imported when it is first asked for (PEP 562), so that `import fer_core` is light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fer_core.errors import FerError
from fer_core.types import Progress

if TYPE_CHECKING:
    from fer_core.api import (
        Predictor,
        calibrate,
        convert_upstream,
        create_loss,
        create_model,
        create_transform,
        diagnose,
        evaluate,
        extend,
        import_weights,
        inference_form,
        list_datasets,
        list_models,
        load_model,
        open_dataset,
        resume,
        train,
    )

    __version__: str

__all__ = [
    "FerError",
    "Predictor",
    "Progress",
    "__version__",
    "calibrate",
    "convert_upstream",
    "create_loss",
    "create_model",
    "create_transform",
    "diagnose",
    "evaluate",
    "extend",
    "import_weights",
    "inference_form",
    "list_datasets",
    "list_models",
    "load_model",
    "open_dataset",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("fer-core")
    elif name in __all__:
        from fer_core import api

        value = getattr(api, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
