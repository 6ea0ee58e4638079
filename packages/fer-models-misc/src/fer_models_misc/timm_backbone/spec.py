"""Declarations of the backbones of timm."""

from __future__ import annotations

from fer_core.plugin import ModelSpec, Ref

_HERE = "fer_models_misc.timm_backbone"

SPEC = ModelSpec(
    name="timm",
    factory=f"{_HERE}.network:build_timm",
    recipes={
        "default": f"{_HERE}.recipes:timm-default.yaml",
        "synthetic": f"{_HERE}.recipes:timm-synthetic.yaml",
    },
    summary="any backbone of timm with a linear classifier, the baseline (resnet18: 11.2 M parameters)",
    paper="Wightman: PyTorch Image Models, 2019; https://doi.org/10.5281/zenodo.4414861",
    licence="Apache-2.0; each set of weights has its own",
    upstream="https://github.com/huggingface/pytorch-image-models",
    converter=f"{_HERE}.network:convert",
    describe=f"{_HERE}.network:describe",
    backbone=f"{_HERE}.network:backbone",
    inference=f"{_HERE}.inference:inference",
)

LOSSES: dict[str, Ref] = {}
