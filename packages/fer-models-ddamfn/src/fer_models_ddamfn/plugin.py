"""The plugin's hooks: the models `ddamfn` and `ddamfn_pp`, one network and two sets of recipes; its loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fer_core.plugin import EXPRESSIONS, Claim, ClassOrder, ModelSpec, Ref, Weights, hookimpl

from fer_models_ddamfn.claims import DDAMFN_CLAIMS, DDAMFN_PP_CLAIMS

_UPSTREAM = "https://github.com/SainingZhang/DDAMFN"
_FILES = f"{_UPSTREAM}/raw/HEAD/DDAMFN%2B%2B/checkpoints_ver2.0"
_PAPER = (
    "Zhang, Zhang, Zhang, Wang, Song: A Dual-Direction Attention Mixed Feature Network for Facial Expression "
    "Recognition, Electronics 12(17), 3595, 2023; https://doi.org/10.3390/electronics12173595"
)
_BACKBONE = Weights(
    name="MFN_msceleb",
    url=_UPSTREAM,
    licence="not stated",
    note="pretrained/MFN_msceleb.pth in the repository; backbone only, trained on MS-Celeb-1M; for "
    "model.backbone_weights",
)
_ORDER = "axes of the confusion matrices in the authors' repository; the code does not state it"


def _make_spec(
    name: str,
    datasets: tuple[str, ...],
    summary: str,
    claims: tuple[Claim, ...],
    aliases: tuple[str, ...] = (),
    checkpoints: tuple[Weights, ...] = (),
) -> ModelSpec:
    return ModelSpec(
        name=name,
        factory="fer_models_ddamfn.ddamfn:build_ddamfn",
        recipes={
            data: f"fer_models_ddamfn.recipes:{name}-{data}.yaml" for data in ("default", *datasets, "synthetic")
        },
        summary=summary,
        paper=_PAPER,
        licence="not stated",
        upstream=_UPSTREAM,
        weights=(_BACKBONE, *checkpoints),
        converter="fer_models_ddamfn.convert:convert",
        describe="fer_models_ddamfn.convert:describe",
        backbone="fer_models_ddamfn.convert:backbone",
        pretrained="a Mixed Feature Network trained on MS-Celeb-1M",
        inference="fer_models_ddamfn.inference:inference",
        attention="fer_models_ddamfn.attention:attention_maps",
        class_orders=tuple(
            ClassOrder(dataset=data, classes=EXPRESSIONS[:number], source=_ORDER)
            for data in datasets
            for number in ((7,) if data == "rafdb" else (7, 8))
        ),
        claims=claims,
        aliases=aliases,
    )


DDAMFN = _make_spec(
    "ddamfn",
    ("rafdb", "ferplus", "affectnet"),
    "kernels of several sizes, and attention along rows and columns from two heads (4.11 M parameters)",
    DDAMFN_CLAIMS,
)

DDAMFN_PP = _make_spec(
    "ddamfn_pp",
    ("rafdb", "affectnet"),
    "DDAMFN trained by sharpness-aware minimisation on aligned faces (4.11 M parameters)",
    DDAMFN_PP_CLAIMS,
    aliases=("ddamfn++", "ddamfnpp"),
    checkpoints=(
        Weights(
            name="ddamfn_pp-rafdb",
            url=f"{_FILES}/rafdb_epoch20_acc0.9204_bacc0.8617.pth",
            licence="not stated",
            note="RAF-DB, 7 classes, claimed 92.04 %",
        ),
        Weights(
            name="ddamfn_pp-affectnet7",
            url=f"{_FILES}/affecnet7_epoch19_acc0.671.pth",
            licence="not stated",
            note="AffectNet, 7 classes, claimed 67.10 %",
        ),
        Weights(
            name="ddamfn_pp-affectnet8",
            url=f"{_FILES}/affecnet8_epoch25_acc0.6469.pth",
            licence="not stated",
            note="AffectNet, 8 classes, claimed 64.69 %",
        ),
    ),
)


@hookimpl
def fer_models() -> Iterable[ModelSpec]:
    """The models `ddamfn` and `ddamfn_pp`."""
    return [DDAMFN, DDAMFN_PP]


@hookimpl
def fer_losses() -> Mapping[str, Ref]:
    """The loss `ddamfn`."""
    return {"ddamfn": "fer_models_ddamfn.loss:DDAMFNLoss"}


@hookimpl
def fer_templates() -> Mapping[str, Ref]:
    """The template `ddamfn_pp`."""
    return {"ddamfn_pp": "fer_models_ddamfn.templates:DDAMFN_PP"}
