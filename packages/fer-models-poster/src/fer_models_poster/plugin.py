"""The plugin's hooks: the models `poster` and `poster_pp`, and POSTER's loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fer_core.plugin import EXPRESSIONS, ClassOrder, ModelSpec, Ref, Weights, hookimpl

from fer_models_poster.claims import POSTER_CLAIMS, POSTER_PP_CLAIMS

_UNSTATED = "not stated beside the file; {}"
_POSTER_LICENCE = "contradictory: LICENSE says Apache-2.0, README says MIT"
_PRETRAINED = "a MobileFaceNet trained on 68 facial landmarks and an IR-50 trained to recognise faces"
_RAFDB = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
_AFFECTNET = "the labels of AffectNet, as the authors' code reads them"

POSTER = ModelSpec(
    name="poster",
    factory="fer_models_poster.poster:build_poster",
    recipes={
        "default": "fer_models_poster.recipes:poster-default.yaml",
        "rafdb": "fer_models_poster.recipes:poster-rafdb.yaml",
        "affectnet": "fer_models_poster.recipes:poster-affectnet.yaml",
        "synthetic": "fer_models_poster.recipes:poster-synthetic.yaml",
    },
    summary="Face recogniser and landmark network, fused by a pyramid of cross-attention (59.0 M parameters)",
    paper="Zheng, Mendieta, Chen: POSTER: A Pyramid Cross-Fusion Transformer Network for Facial Expression "
    "Recognition, ICCV 2023 Workshops (AMFG), 3146-3155; https://arxiv.org/abs/2204.04083",
    licence=_POSTER_LICENCE,
    upstream="https://github.com/zczcwh/POSTER",
    weights=(
        Weights(
            name="poster-backbones",
            url="https://drive.google.com/drive/folders/1X9pE-NmyRwvBGpVzJOEvLqRPRfk_Siwq",
            licence=_UNSTATED.format(f"the code's is {_POSTER_LICENCE}"),
            note="folder with both backbones, ir50.pth and mobilefacenet_model_best.pth.tar",
        ),
        Weights(
            name="poster-rafdb",
            url="https://drive.google.com/drive/folders/1jeCPTGjBL8YgKKB9YrI9TYZywme8gymv",
            licence=_UNSTATED.format(f"the code's is {_POSTER_LICENCE}"),
            note="folder with rafdb_best.pth: RAF-DB, 7 classes, claimed 92.05 %; reads BGR",
        ),
    ),
    converter="fer_models_poster.convert:convert_poster",
    describe="fer_models_poster.convert:describe_poster",
    backbone="fer_models_poster.convert:backbone_poster",
    pretrained=_PRETRAINED,
    inference="fer_models_poster.inference:poster_for_inference",
    class_orders=(
        ClassOrder(dataset="rafdb", classes=_RAFDB, source="the authors' code: RAF-DB's labels less 1"),
        ClassOrder(dataset="affectnet", classes=EXPRESSIONS[:7], source=_AFFECTNET),
        ClassOrder(dataset="affectnet", classes=EXPRESSIONS, source=_AFFECTNET),
    ),
    claims=POSTER_CLAIMS,
)

POSTER_PP = ModelSpec(
    name="poster_pp",
    factory="fer_models_poster.poster_pp:build_poster_pp",
    recipes={
        "default": "fer_models_poster.recipes:poster_pp-default.yaml",
        "rafdb": "fer_models_poster.recipes:poster_pp-rafdb.yaml",
        "affectnet": "fer_models_poster.recipes:poster_pp-affectnet.yaml",
        "caers": "fer_models_poster.recipes:poster_pp-caers.yaml",
        "synthetic": "fer_models_poster.recipes:poster_pp-synthetic.yaml",
    },
    summary="Face recogniser and landmark network, fused at three scales by attention (43.8 M parameters)",
    paper="Mao, Xu, Yin, Chang, Nie, Huang: POSTER++: A simpler and stronger facial expression recognition "
    "network, Pattern Recognition, 2024; https://arxiv.org/abs/2301.12149",
    licence="MIT",
    upstream="https://github.com/Talented-Q/POSTER_V2",
    weights=(
        Weights(
            name="ir50",
            url="https://drive.google.com/file/d/17QAIPlpZUwkQzOTNiu-gUFLTqAxS-qHt/view",
            licence=_UNSTATED.format("the code is MIT"),
            note="image backbone",
        ),
        Weights(
            name="mobilefacenet",
            url="https://drive.google.com/file/d/1SMYP5NDkmDE3eLlciN7Z4px-bvFEuHEX/view",
            licence=_UNSTATED.format("the code is MIT"),
            note="landmark backbone, stays frozen",
        ),
        Weights(
            name="poster_pp-models",
            url="https://github.com/Talented-Q/POSTER_V2",
            licence=_UNSTATED.format("the code is MIT"),
            note="links in the README: RAF-DB (claimed 92.21 %), AffectNet 7 (67.49 %) and 8 (63.77 %), "
            "CAER-S (93.00 %)",
        ),
    ),
    converter="fer_models_poster.convert:convert_poster_pp",
    describe="fer_models_poster.convert:describe_poster_pp",
    backbone="fer_models_poster.convert:backbone_poster_pp",
    pretrained=_PRETRAINED,
    inference="fer_models_poster.inference:poster_pp_for_inference",
    attention="fer_models_poster.attention:attention_maps",
    class_orders=(
        ClassOrder(
            dataset="rafdb",
            classes=_RAFDB,
            source="totals of the rows of the authors' confusion matrix, which are those of RAF-DB's labels",
        ),
    ),
    claims=POSTER_PP_CLAIMS,
    aliases=("poster++", "posterpp", "poster_v2", "posterv2", "poster2"),
)


@hookimpl
def fer_models() -> Iterable[ModelSpec]:
    """The models `poster` and `poster_pp`."""
    return [POSTER, POSTER_PP]


@hookimpl
def fer_losses() -> Mapping[str, Ref]:
    """The loss `poster`."""
    return {"poster": "fer_models_poster.loss:POSTERLoss"}
