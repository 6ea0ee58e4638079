"""Declarations of Ada-DF."""

from __future__ import annotations

from fer_core.plugin import EXPRESSIONS, ClassOrder, ModelSpec, Ref, Weights

from fer_models_misc.adadf.claims import CLAIMS

_HERE = "fer_models_misc.adadf"

SPEC = ModelSpec(
    name="adadf",
    factory=f"{_HERE}.network:build_adadf",
    recipes={
        "default": f"{_HERE}.recipes:adadf-default.yaml",
        "rafdb": f"{_HERE}.recipes:adadf-rafdb.yaml",
        "affectnet": f"{_HERE}.recipes:adadf-affectnet.yaml",
        "sfew": f"{_HERE}.recipes:adadf-sfew.yaml",
        "synthetic": f"{_HERE}.recipes:adadf-synthetic.yaml",
    },
    summary="ResNet-18 with two branches; one learns targets fused from the other's (22.2 M parameters)",
    paper="Liu, Xu, Wan, Kui: A Dual-Branch Adaptive Distribution Fusion Framework for Real-World Facial "
    "Expression Recognition, ICASSP 2023; https://arxiv.org/abs/2404.15714",
    licence="not stated",
    upstream="https://github.com/taylor-xy0827/Ada-DF",
    weights=(
        Weights(
            name="resnet18_msceleb",
            url="https://drive.google.com/file/d/1ByvxPD9QkmWZDWtTmDQ5ta1MiAkXt22T/view",
            licence="not stated",
            note="backbone only, trained on MS-Celeb-1M; for model.backbone_weights",
        ),
    ),
    converter=f"{_HERE}.convert:convert",
    describe=f"{_HERE}.convert:describe",
    backbone=f"{_HERE}.convert:backbone",
    pretrained="a ResNet-18 trained on MS-Celeb-1M",
    inference=f"{_HERE}.inference:inference",
    class_orders=(
        ClassOrder(
            dataset="rafdb",
            classes=("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"),
            source="the authors' code: RAF-DB's labels less 1",
        ),
        ClassOrder(
            dataset="affectnet",
            classes=EXPRESSIONS[:7],
            source="the labels of AffectNet, of which the authors' code drops the last, contempt",
        ),
        ClassOrder(
            dataset="sfew",
            classes=("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
            source="the authors' code: folders in alphabetical order",
        ),
    ),
    claims=CLAIMS,
    aliases=("ada-df", "ada_df"),
)

LOSSES: dict[str, Ref] = {"adadf": f"{_HERE}.loss:AdaDFLoss"}
