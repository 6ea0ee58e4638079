"""The plugin's hooks: the model `dan` and its loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fer_core.plugin import EXPRESSIONS, ClassOrder, ModelSpec, Ref, Weights, hookimpl

from fer_models_dan.claims import CLAIMS

_DRIVE = "https://drive.google.com/file/d/{}/view"
_LICENCE = "not stated beside the file; the code is MIT"

_RAFDB = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
_AFFECTNET = "the labels of AffectNet, as the authors' scripts read them"

DAN = ModelSpec(
    name="dan",
    factory="fer_models_dan.dan:build_dan",
    recipes={
        "default": "fer_models_dan.recipes:default.yaml",
        "rafdb": "fer_models_dan.recipes:rafdb.yaml",
        "synthetic": "fer_models_dan.recipes:synthetic.yaml",
        "affectnet": "fer_models_dan.recipes:affectnet.yaml",
        "sfew": "fer_models_dan.recipes:sfew.yaml",
    },
    summary="ResNet-18 with four cross-attention heads that are driven apart (19.7 M parameters)",
    paper="Wen, Lin, Wang, Xu: Distract Your Attention: Multi-head Cross Attention Network for Facial Expression "
    "Recognition, Biomimetics 8(2), 199, 2023; https://arxiv.org/abs/2109.07270",
    licence="MIT",
    upstream="https://github.com/yaoing/DAN",
    weights=(
        Weights(
            name="resnet18_msceleb",
            url=_DRIVE.format("1u2NtY-5DVlTunfN4yxfxys5n8uh7sc3n"),
            licence=_LICENCE,
            note="backbone only, trained on MS-Celeb-1M; for model.backbone_weights",
        ),
        Weights(
            name="dan-rafdb",
            url=_DRIVE.format("1ASabP5wkLUIh4VQc8CEuZbZyLJEFaTMF"),
            licence=_LICENCE,
            note="RAF-DB, 7 classes, claimed 89.70 %",
        ),
        Weights(
            name="dan-affectnet7",
            url=_DRIVE.format("1_Z-U7rT5NJ3Vc73aN2ZBmuvCkzUQG4jT"),
            licence=_LICENCE,
            note="AffectNet, 7 classes, claimed 65.69 %",
        ),
        Weights(
            name="dan-affectnet8",
            url=_DRIVE.format("1uHNADViICyJEjJljv747nfvrGu12kjtu"),
            licence=_LICENCE,
            note="AffectNet, 8 classes, claimed 62.09 %",
        ),
    ),
    converter="fer_models_dan.convert:convert",
    describe="fer_models_dan.convert:describe",
    backbone="fer_models_dan.convert:load_backbone",
    pretrained="a ResNet-18 trained on MS-Celeb-1M (resnet18_msceleb.pth)",
    inference="fer_models_dan.inference:build_inference",
    attention="fer_models_dan.attention:attention_maps",
    class_orders=(
        ClassOrder(dataset="rafdb", classes=_RAFDB, source="the authors' script: RAF-DB's labels less 1"),
        ClassOrder(dataset="affectnet", classes=EXPRESSIONS[:7], source=_AFFECTNET),
        ClassOrder(dataset="affectnet", classes=EXPRESSIONS, source=_AFFECTNET),
    ),
    claims=CLAIMS,
)


@hookimpl
def fer_models() -> Iterable[ModelSpec]:
    """The model `dan`."""
    return [DAN]


@hookimpl
def fer_losses() -> Mapping[str, Ref]:
    """The loss `dan`."""
    return {"dan": "fer_models_dan.loss:DANLoss"}
