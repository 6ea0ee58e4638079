"""Declarations of GSDNet."""

from __future__ import annotations

from fer_core.plugin import ModelSpec, Ref, Weights

SPEC = ModelSpec(
    name="gsdnet",
    factory="fer_models_misc.gsdnet.network:build_gsdnet",
    recipes={
        "default": "fer_models_misc.gsdnet.recipes:gsdnet-default.yaml",
        "rafdb": "fer_models_misc.gsdnet.recipes:gsdnet-rafdb.yaml",
        "synthetic": "fer_models_misc.gsdnet.recipes:gsdnet-synthetic.yaml",
    },
    summary="ResNet-50 whose stages each have a classifier that learns from the next (29.7 M parameters)",
    paper="Zhang, Zhu, Wang, Wang, Liang, Wang, Yin: A gradual self distillation network with adaptive channel "
    "attention for facial expression recognition, Applied Soft Computing, 111762, 2024; "
    "https://doi.org/10.1016/j.asoc.2024.111762",
    licence="not stated",
    upstream="https://github.com/Emy-cv/GSDNet",
    weights=(
        Weights(
            name="vgg_msceleb_resnet50_ft_weight",
            url="https://drive.google.com/drive/folders/1OUrrHPYRDneS5OcE6sk8PwbfP_zhmvmJ",
            licence="not stated",
            note="backbone only, ResNet-50 trained on VGGFace2 faces; for model.backbone_weights",
        ),
    ),
    converter="fer_models_misc.gsdnet.convert:convert",
    describe="fer_models_misc.gsdnet.convert:describe",
    backbone="fer_models_misc.gsdnet.convert:load_backbone",
    pretrained="a ResNet-50 trained on the faces of VGGFace2 (vgg_msceleb_resnet50_ft_weight.pkl)",
    inference="fer_models_misc.gsdnet.inference:build_inference",
    aliases=("gsd-net",),
)

LOSSES: dict[str, Ref] = {"gsdnet": "fer_models_misc.gsdnet.loss:GSDNetLoss"}
