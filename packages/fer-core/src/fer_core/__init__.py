"""The core of fer: hooks, configuration, data, training, evaluation and the `fer-run` command.

What needs torch is imported when it is first asked for (PEP 562), so that a plugin can import its markers and
types from here and stay light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fer_core.errors import FerError
from fer_core.hookspecs import HOOK_API, hookimpl
from fer_core.types import (
    EXPRESSIONS,
    CommandSpec,
    DatasetSpec,
    ExperimentSpec,
    FERDataset,
    ModelSpec,
    Progress,
    Ref,
    Role,
    TaskInfo,
    Weights,
)

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
    from fer_core.losses import Loss

    __version__: str

__all__ = [
    "EXPRESSIONS",
    "HOOK_API",
    "CommandSpec",
    "DatasetSpec",
    "ExperimentSpec",
    "FERDataset",
    "FerError",
    "Loss",
    "ModelSpec",
    "Predictor",
    "Progress",
    "Ref",
    "Role",
    "TaskInfo",
    "Weights",
    "__version__",
    "calibrate",
    "convert_upstream",
    "create_loss",
    "create_model",
    "create_transform",
    "diagnose",
    "evaluate",
    "extend",
    "hookimpl",
    "import_weights",
    "inference_form",
    "list_datasets",
    "list_models",
    "load_model",
    "open_dataset",
    "resume",
    "train",
]

_API = (
    "Predictor",
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
)
_LAZY = {"Loss": "fer_core.losses", **dict.fromkeys(_API, "fer_core.api")}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("fer-core")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
