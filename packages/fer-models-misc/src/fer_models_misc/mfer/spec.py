"""Declarations of MFER: the model `mfer` and its loss."""

from __future__ import annotations

from fer_core.plugin import ClassOrder, ModelSpec, Ref, Weights

from fer_models_misc.mfer.claims import CLAIMS

_META = "https://dl.fbaipublicfiles.com/convnext/{}.pth"
_LICENCE = "not stated beside the file; Meta's code is MIT"

SPEC = ModelSpec(
    name="mfer",
    factory="fer_models_misc.mfer.network:build_mfer",
    recipes={name: f"fer_models_misc.mfer.recipes:mfer-{name}.yaml" for name in ("default", "rafdb", "synthetic")},
    summary="ConvNeXt-Base with two attention blocks and three heads (155.4 M parameters)",
    paper="Xu, Li, Yang, He, Luo: Multiscale Facial Expression Recognition Based on Dynamic Global and Static "
    "Local Attention, IEEE Transactions on Affective Computing 16(2), 2025; https://doi.org/10.1109/TAFFC.2024.3458464",
    licence="MIT",
    upstream="https://github.com/XuJ1E/MFER",
    weights=(
        Weights(
            name="convnext_base_1k_224_ema",
            url=_META.format("convnext_base_1k_224_ema"),
            licence=_LICENCE,
            note="backbone only, ImageNet-1k, not the paper's; for model.backbone_weights",
        ),
        Weights(
            name="convnext_base_22k_224",
            url=_META.format("convnext_base_22k_224"),
            licence=_LICENCE,
            note="backbone only, ImageNet-22k, not the paper's; for model.backbone_weights",
        ),
    ),
    converter="fer_models_misc.mfer.convert:convert",
    describe="fer_models_misc.mfer.convert:describe",
    backbone="fer_models_misc.mfer.convert:map_backbone",
    pretrained="ConvNeXt-Base trained without labels on MS-Celeb-1M (unpublished; Meta's ImageNet weights fit)",
    inference="fer_models_misc.mfer.inference:make_inference",
    attention="fer_models_misc.mfer.attention:attention_maps",
    class_orders=(
        ClassOrder(
            dataset="rafdb",
            classes=("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
            source="folders in alphabetical order, and axes of the authors' confusion matrices",
        ),
    ),
    claims=CLAIMS,
)

LOSSES: dict[str, Ref] = {"mfer": "fer_models_misc.mfer.loss:MFERLoss"}
