"""The plugin's hooks: the model `compact`, its weights and the experiment that trains them."""

from __future__ import annotations

from collections.abc import Iterable

from fer_core.plugin import ExperimentSpec, ModelSpec, WeightsSpec, hookimpl

COMPACT = ModelSpec(
    name="compact",
    factory="fer_models_compact.network:Compact",
    recipes={
        "default": "fer_models_compact.recipes:default.yaml",
        "synthetic": "fer_models_compact.recipes:synthetic.yaml",
    },
    summary="a grey residual network for 48 pixels, small enough to train on a CPU (3.5 M parameters)",
    paper="none; residual networks: He et al. 2016, https://arxiv.org/abs/1512.03385",
    licence="Apache-2.0",
    upstream="none: it is written for fer",
    inference="fer_models_compact.inference:build_inference",
)


@hookimpl
def fer_models() -> Iterable[ModelSpec]:
    """The model `compact`."""
    return [COMPACT]


@hookimpl
def fer_weights() -> Iterable[WeightsSpec]:
    """What the experiment trained, in half precision."""
    return [
        WeightsSpec(
            name="compact",
            model="compact",
            file="fer_models_compact:compact.safetensors",
            card="fer_models_compact:compact.json",
            summary="FERPlus's eight expressions; with --head fer2013 the seven of FER2013",
        )
    ]


@hookimpl
def fer_experiments() -> Iterable[ExperimentSpec]:
    """The training of `compact` on FERPlus."""
    return [
        ExperimentSpec(
            name="compact",
            file="fer_models_compact.experiments:compact.yaml",
            summary="compact on FERPlus's votes and FER2013's labels, three seeds",
        )
    ]
