"""Self-Cure Network: a network that weighs its training samples, and a loss that corrects their labels."""

from fer_core.plugin import ModelSpec, Ref, hookimpl


@hookimpl
def fer_models() -> list[ModelSpec]:
    return [
        ModelSpec(
            name="scn",
            factory="fer_scn.scn:SCN",
            recipes={"default": "fer_scn:scn.yaml"},
            summary="Self-Cure Network: weighs samples by their importance and corrects labels",
            paper="Wang et al., CVPR 2020, https://arxiv.org/abs/2002.10392",
            licence="Apache-2.0",
            upstream="https://github.com/kaiwang960112/Self-Cure-Network",
        )
    ]


@hookimpl
def fer_losses() -> dict[str, Ref]:
    return {"scn": "fer_scn.scn:SelfCure"}
