"""Declarations of LNSU-Net: the model `lnsu` and its loss."""

from __future__ import annotations

from fer_core.plugin import ClassOrder, ModelSpec, Ref, Weights

from fer_models_misc.lnsu.claims import CLAIMS

SPEC = ModelSpec(
    name="lnsu",
    factory="fer_models_misc.lnsu.network:build_lnsu",
    recipes={
        "default": "fer_models_misc.lnsu.recipes:lnsu-default.yaml",
        "rafdb": "fer_models_misc.lnsu.recipes:lnsu-rafdb.yaml",
        "synthetic": "fer_models_misc.lnsu.recipes:lnsu-synthetic.yaml",
    },
    summary="Swin-T at 112 pixels, trained for imbalanced data by class maps that agree with the mirror image's "
    "(27.5 M parameters)",
    paper="Zhang, Li, Qin, Liu, Deng: Leave No Stone Unturned: Mine Extra Knowledge for Imbalanced Facial "
    "Expression Recognition, NeurIPS 2023; https://arxiv.org/abs/2310.19636",
    licence="not stated; the Swin file carries the MIT notice of Microsoft",
    upstream="https://github.com/zyh-uaiaaaa/Mine-Extra-Knowledge",
    weights=(
        Weights(
            name="start_0",
            url="https://drive.google.com/file/d/1GiVsA5sbhc-12brGrKdTIdrKZnXz9vtZ/view",
            licence="not stated",
            note="encoder only, trained on MS-Celeb-1M; start_0.pt in an archive with RAF-DB; for "
            "model.backbone_weights",
        ),
    ),
    converter="fer_models_misc.lnsu.convert:convert",
    describe="fer_models_misc.lnsu.convert:describe",
    backbone="fer_models_misc.lnsu.convert:load_backbone",
    pretrained="a Swin-T trained to recognise faces on MS-Celeb-1M (start_0.pt)",
    inference="fer_models_misc.lnsu.inference:build_inference",
    attention="fer_models_misc.lnsu.attention:attention_maps",
    class_orders=(
        ClassOrder(
            dataset="rafdb",
            classes=("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"),
            source="the authors' code: RAF-DB's labels less 1",
        ),
    ),
    claims=CLAIMS,
    aliases=("lnsu-net", "lnsunet", "mek"),
)

LOSSES: dict[str, Ref] = {"lnsu": "fer_models_misc.lnsu.loss:LNSULoss"}
