"""The one builder: names, options against the signatures of factories, and what a configuration names."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import fer_core
import pytest
import torch
from click.testing import CliRunner
from fer_core.cli.main import main
from fer_core.components import CONTRACTS, Names, build, check, find_value
from fer_core.errors import FerError
from fer_core.plugin import ModelSpec
from fer_core.plugins import KINDS, Entry, Plugin, load_plugins
from fer_core.preprocessing import Preprocessing
from fer_core.provenance import Model
from fer_core.weights import checkpoint
from fer_core.weights.header import Header
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from torch import Tensor


def register(kind: str, name: str, factory: Any) -> None:
    load_plugins().entries[kind][name] = [Entry(name, factory, Plugin("tests", "fer-tests", "0"))]


@pytest.fixture(autouse=True)
def own_plugins(monkeypatch):
    """Names that a test registers are gone after it."""
    plugins = load_plugins()
    monkeypatch.setattr(plugins, "entries", {kind: dict(names) for kind, names in plugins.entries.items()})


class Mode(Enum):
    FAST = "fast"
    EXACT = "exact"


class Readable(Protocol):
    def read(self) -> bytes: ...


class Stage(BaseModel):
    width: int


@dataclasses.dataclass
class Block:
    depth: int


def typed(
    params: Sequence[Tensor],
    lr: float = 1e-3,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    steps: int | None = None,
    fused: bool = False,
    mode: Literal["a", "b"] = "a",
    text: str = "",
    layers: Sequence[int] = (),
    extra: dict[str, int] | None = None,
    share: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    kind: Mode = Mode.FAST,
    file: Path | None = None,
    sizes: Iterable[int] = (),
    stages: Sequence[Stage] = (),
    block: Block | None = None,
    source: Readable | None = None,
    weights: torch.Tensor | None = None,
    anything: Tensor | None = None,  # imported for type checkers only
    broken: "list[" = None,  # noqa: F722
    untyped=None,
) -> dict[str, Any]:
    return dict(locals())


class Net:
    def __init__(self, info: object, width: int, depth: int = 1) -> None:
        self.width = width


class Child(Net):
    """Inherits its options."""


@pytest.fixture(autouse=True)
def anything_may_be_made(monkeypatch):
    """The factories here return what they got, in the place of what a training could use."""
    loose = {kind: replace(contract, methods=()) for kind, contract in CONTRACTS.items()}
    monkeypatch.setattr("fer_core.components.CONTRACTS", loose)


def made(factory, options, kind="optimizers", name="typed"):
    register(kind, name, factory)
    return build(kind, name, options, *(CONTRACTS[kind].leading + CONTRACTS[kind].named))


def rejected(factory, options, kind="optimizers", name="typed", **where):
    register(kind, name, factory)
    with pytest.raises(FerError) as caught:
        check(kind, name, options, **where)
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, {"params": "params"}),
        ({"lr": 1}, {"lr": 1.0}),
        ({"lr": 0.1, "betas": [0.9, 1]}, {"betas": (0.9, 1.0)}),
        ({"steps": None, "share": 0.5}, {"steps": None, "share": 0.5}),
        ({"steps": 3, "fused": True, "mode": "b"}, {"steps": 3, "fused": True, "mode": "b"}),
        ({"layers": [1, 2], "extra": {"a": 1}}, {"layers": [1, 2], "extra": {"a": 1}}),
        ({"layers": (1, 2), "kind": "exact", "file": "a/b"}, {"kind": Mode.EXACT, "file": Path("a/b")}),
        ({"sizes": [3, 4], "stages": [{"width": 2}]}, {"sizes": [3, 4], "stages": [Stage(width=2)]}),
        ({"block": {"depth": 2}, "source": 3, "broken": 4}, {"block": Block(2), "source": 3, "broken": 4}),
        ({"anything": "of no type that is known", "untyped": [1]}, {"untyped": [1]}),
    ],
)
def test_options_that_fit_reach_the_factory_as_it_asks_for_them(options, found):
    assert found.items() <= made(typed, options).items()


def test_objects_can_be_given_in_python():
    weights = torch.zeros(2)
    assert made(typed, {"weights": weights})["weights"] is weights


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lrr": 1}, "optimizer.lrr: unknown option of typed, did you mean lr?"),
        ({"params": []}, "optimizer.params: set by the framework, not an option of typed: remove it"),
        ({"lr": "fast"}, "optimizer.lr is fast, which typed does not accept: expected a number"),
        ({"lr": True}, "optimizer.lr is true, which typed does not accept: expected a number"),
        ({"lr": None}, "optimizer.lr is null, which typed does not accept: expected a number"),
        ({"lr": float("inf")}, "optimizer.lr is .inf, which typed does not accept: expected a number"),
        ({"steps": 1.5}, "optimizer.steps is 1.5, which typed does not accept: expected a whole number or null"),
        ({"steps": True}, "optimizer.steps is true, which typed does not accept: expected a whole number or null"),
        ({"fused": 1}, "optimizer.fused is 1, which typed does not accept: expected true or false"),
        ({"text": 1}, "optimizer.text is 1, which typed does not accept: expected text"),
        ({"mode": "c"}, "optimizer.mode is c, which typed does not accept: expected a or b"),
        ({"betas": 0.9}, "optimizer.betas is 0.9, which typed does not accept: expected a list of 2 numbers"),
        ({"betas": [0.9]}, "optimizer.betas is [0.9], which typed does not accept: expected a list of 2 numbers"),
        (
            {"layers": ["x"]},
            "optimizer.layers is [x], which typed does not accept: expected a list of whole numbers",
        ),
        (
            {"layers": "ab"},
            "optimizer.layers is ab, which typed does not accept: expected a list of whole numbers",
        ),
        ({"extra": [1]}, "optimizer.extra is [1], which typed does not accept: expected a mapping or null"),
        (
            {"share": 1},
            "optimizer.share is 1, which typed does not accept: expected a number of at least 0 and below 1",
        ),
        ({"kind": "slow"}, "optimizer.kind is slow, which typed does not accept: expected fast or exact"),
        ({"stages": [{}]}, "optimizer.stages is [{}], which typed does not accept: expected a list"),
        ({"block": 3}, "optimizer.block is 3, which typed does not accept: expected a mapping or null"),
        ({"weights": 3}, "optimizer.weights is 3, which typed does not accept: expected a Tensor or null"),
    ],
)
def test_mistakes_are_one_line(options, message):
    assert rejected(typed, options) == message


def test_the_layer_is_named_where_it_is_known():
    origin = {"optimizer.lr": "mine.yaml", "optimizer.lrr": "-o", "loss.name": "-o", "callbacks": "your.yaml"}
    assert "optimizer.lr is x (mine.yaml), which" in rejected(typed, {"lr": "x"}, origin=origin)
    assert rejected(typed, {"lrr": 1}, origin=origin).endswith("did you mean lr? (-o)")
    assert rejected(lambda: None, {"p": 1}, "callbacks", "chime", origin=origin) == (
        "callbacks.chime.p: unknown option of chime, it has no options: remove it (your.yaml)"
    )
    with pytest.raises(FerError, match=r"there is no loss 'cros_entropy': did you mean cross_entropy\? \(-o\)"):
        check("losses", "cros_entropy", {}, origin=origin)


@pytest.mark.parametrize("factory", [Net, Child])
def test_classes_are_checked_by_their_constructor(factory):
    assert made(factory, {"width": 3}, "losses", "net").width == 3
    assert rejected(factory, {"width": "x"}, "losses", "net").startswith(
        "loss.width is x, which net does not accept"
    )
    assert rejected(factory, {"with": 3, "width": 1}, "losses", "net").endswith("did you mean width?")


def test_a_required_option_has_to_be_there():
    assert (
        rejected(Net, {}, "losses", "net") == "loss.width: missing, net needs it: set it with -o loss.width=VALUE"
    )
    assert rejected(lambda *, every: None, {}, "callbacks", "chime") == (
        "callbacks.chime.every: missing, chime needs it: write chime: {every: ...}"
    )


def test_open_ended_factories_take_all_but_what_the_framework_gives():
    def anything(info: object, **options: Any) -> Any:
        return options

    assert made(anything, {"whatever": 3}, "losses") == {"whatever": 3}
    assert "loss.info: set by the framework" in rejected(anything, {"info": 3}, "losses")


def test_the_frameworks_parameters_may_have_any_name():
    assert made(lambda task, width=1: (task, width), {"width": 2}, "losses") == ("info", 2)
    assert "loss.task: set by the framework" in rejected(lambda task: None, {"task": 1}, "losses")


def test_what_a_schedule_is_given_by_name_is_no_option():
    def schedule(optimizer, *, total, per_epoch, gamma=0.5):
        return optimizer, total, per_epoch, gamma

    assert made(schedule, {"gamma": 1}, "schedulers") == ("optimizer", "total", "per_epoch", 1)
    assert "scheduler.total: set by the framework" in rejected(schedule, {"total": 1}, "schedulers")


def test_a_factory_of_another_shape_is_its_plugins_mistake():
    assert rejected(lambda: None, {}, "losses", "lone") == (
        "loss 'lone' of fer-tests 0: its factory cannot be called with (info): correct its plugin"
    )
    assert "(optimizer, total=..., per_epoch=...)" in rejected(lambda optimizer: None, {}, "schedulers")


def test_partial_factories_and_compiled_ones():
    assert made(functools.partial(typed, fused=True), {"lr": 1})["fused"] is True
    assert "expected a number" in rejected(functools.partial(typed, fused=True), {"lr": "x"})
    register("optimizers", "compiled", min)
    check("optimizers", "compiled", {"anything": 1})  # whose signature Python cannot tell


def test_what_a_factory_raises_for_the_user_passes():
    def strict(info: object, width: int) -> None:
        raise FerError(f"loss.width is {width}: use 2 or more")

    with pytest.raises(FerError, match=r"^loss\.width is 1: use 2 or more$"):
        made(strict, {"width": 1}, "losses")


def test_options_of_a_component_that_an_option_names():
    def around(params: object, *, base: Annotated[str, Names("optimizers")] = "sgd", **options: Any) -> None: ...

    assert "unknown option of sgd, did you mean lr?" in rejected(around, {"lrr": 1})
    assert "optimizer.eps: unknown option of sgd" in rejected(around, {"eps": 1e-3})
    check("optimizers", "typed", {"eps": 1e-3, "base": "adam"})
    assert "there is no optimizer 'adamm'" in rejected(around, {"base": "adamm"})


def around(params: object, *, base: Annotated[str, Names("optimizers")] = "sgd", **options: Any) -> None: ...


def test_an_option_of_a_named_component_is_called_by_its_place_and_layer():
    assert rejected(around, {"lrr": 1, "base": "adam"}, section="own.place", origin={"own": "mine.yaml"}) == (
        "own.place.lrr: unknown option of adam, did you mean lr? (mine.yaml)"
    )


def test_an_unknown_component_is_called_by_the_layer_of_its_place():
    register("losses", "lone", lambda info: info)
    with pytest.raises(FerError, match=r"did you mean lone\? \(mine\.yaml\)"):
        check("losses", "lonee", {}, section="own.place", origin={"own.place.name": "mine.yaml"})
    with pytest.raises(FerError, match=r"did you mean cuda\? \(-o\)"):
        find_value("devices", "cuba", "run.device", {"run": "-o"})
    with pytest.raises(FerError, match=r"did you mean cuda\?$"):
        find_value("devices", "cuba", origin={"run": "-o"})


def test_devices_may_have_an_index():
    assert find_value("devices", "cuda:1") is find_value("devices", "cuda")


def test_the_section_of_the_options_is_named_by_build_and_check_alike():
    register("losses", "wide", Net)
    for call in (
        lambda: build("losses", "wide", {}, "info", section="own"),
        lambda: check("losses", "wide", {}, "own"),
    ):
        with pytest.raises(
            FerError, match=r"^own\.width: missing, wide needs it: set it with -o own\.width=VALUE$"
        ):
            call()
    with pytest.raises(FerError, match=r"^loss\.wide: unknown option of wide, did you mean width\? \(-o\)$"):
        build("losses", "wide", {"wide": 1}, "info", origin={"loss": "-o"})


def test_the_layer_of_a_key_is_the_nearest_that_is_known():
    origin = {"optimizer": "mine.yaml", "optimizer.betas": "-o", "model": "the recipe"}
    assert "optimizer.betas is x (-o), which" in rejected(typed, {"betas": "x"}, origin=origin)
    assert "optimizer.lr is x (mine.yaml), which" in rejected(typed, {"lr": "x"}, origin=origin)
    assert "loss.width is x, which" in rejected(Net, {"width": "x"}, "losses", "net", origin=origin)


def test_a_spec_need_not_be_registered():
    spec = ModelSpec(name="own", factory=Net, recipes={}, summary="", paper="", licence="", upstream="")
    made_of_it = build("models", spec, {"width": 3}, "info")
    assert (type(made_of_it), made_of_it.width) == (Net, 3)
    with pytest.raises(FerError, match=r"^model\.with: unknown option of own, did you mean width\?$"):
        check("models", spec, {"with": 3})


def test_a_factory_gets_as_much_as_its_kind_is_given():
    def schedule(optimizer, *, total, per_epoch):
        return optimizer, total, per_epoch

    register("schedulers", "plain", schedule)
    assert build("schedulers", "plain", {}, "o", 10, 2) == ("o", 10, 2)
    with pytest.raises(ValueError, match="zip"):
        build("schedulers", "plain", {}, "o", 10)


def test_the_options_of_the_caller_stay_as_they_are():
    options = {"betas": [0.9, 1], "kind": "exact"}
    made(typed, options)
    assert options == {"betas": [0.9, 1], "kind": "exact"}


def test_every_kind_that_a_factory_makes_has_a_contract():
    assert set(CONTRACTS) == set(KINDS) - {
        "devices",
        "templates",
        "weights",
        "experiments",
        "commands",
        "splits",
        "metrics",
    }


def resolution(monkeypatch, tmp_path, *arguments, **layers):
    if layers:
        (tmp_path / "mine.yaml").write_text(json.dumps(layers))
        arguments = (*arguments, "-c", str(tmp_path / "mine.yaml"))
    monkeypatch.setattr("fer_core.data.open._open_one", lambda *_: pytest.fail("data were opened"))
    return CliRunner().invoke(main, ["train", "tiny", "bars", *arguments, "--dry-run"])


MISTAKES = {
    "model": ({"model": {"wide": 3}}, "model.wide: unknown option of tiny, did you mean width?"),
    "model's option": ({"model": {"width": "x"}}, "model.width is x"),
    "data": ({"data": {"options": {"sample": 3}}}, "data.options.sample: unknown option of bars"),
    "loss": ({"loss": "cros_entropy"}, "there is no loss 'cros_entropy': did you mean cross_entropy?"),
    "loss's option": ({"loss": {"smoothing": 0.1}}, "loss.smoothing: unknown option of cross_entropy"),
    "optimizer": ({"optimizer": "adan"}, "there is no optimizer 'adan': did you mean adam"),
    "optimizer's option": ({"optimizer": {"lr": "fast"}}, "optimizer.lr is fast"),
    "optimizer's range": ({"optimizer": {"lr": -1}}, "optimizer.lr is -1"),
    "base": ({"optimizer": {"name": "sam", "base": "sdg"}}, "there is no optimizer 'sdg': did you mean sgd?"),
    "base's option": ({"optimizer": {"name": "sam", "bets": 1}}, "optimizer.bets: unknown option of adam"),
    "scheduler": ({"scheduler": "cosin"}, "there is no scheduler 'cosin': did you mean cosine?"),
    "scheduler's option": (
        {"scheduler": {"name": "cosine", "warm": 1}},
        "scheduler.warm: unknown option of cosine",
    ),
    "scheduler's missing option": ({"scheduler": "step"}, "scheduler.every: missing, step needs it"),
    "scheduler's range": ({"scheduler": {"name": "step", "every": 0}}, "scheduler.every is 0"),
    "sampler": ({"data": {"sampler": "balance"}}, "there is no sampler 'balance': did you mean balanced"),
    "sampler's option": ({"data": {"sampler": {"seed": 1}}}, "data.sampler.seed: set by the framework"),
    "transform": (
        {"data": {"train_transforms": ["resiz", "normalize"]}},
        "there is no transform 'resiz': did you mean resize?",
    ),
    "transform's option": (
        {"data": {"eval_transforms": [{"resize": {"size": "x"}}, "normalize"]}},
        "data.eval_transforms.resize.size is x",
    ),
    "transform's missing option": (
        {"data": {"train_transforms": ["resize", "rotation", "normalize"]}},
        "data.train_transforms.rotation.degrees: missing, rotation needs it: write rotation: {degrees: ...}",
    ),
    "nested transform": (
        {"data": {"train_transforms": ["resize", {"one_of": {"transforms": ["flip"]}}, "normalize"]}},
        "there is no transform 'flip'",
    ),
    "nested transform's option": (
        {"data": {"train_transforms": ["resize", {"one_of": {"transforms": [{"rotation": {"degree": 3}}]}}]}},
        "one_of.transforms.rotation.degree: unknown option of rotation, did you mean degrees?",
    ),
    "callback": ({"callbacks": ["progres"]}, "there is no callback 'progres': did you mean progress?"),
    "callback's option": (
        {"callbacks": [{"early_stopping": {"patienc": 1}}]},
        "callbacks.early_stopping.patienc: unknown option of early_stopping, did you mean patience?",
    ),
    "trainer": ({"train": {"trainer": "standart"}}, "there is no trainer 'standart': did you mean standard?"),
    "template": (
        {"data": {"alignment": {"kind": "points", "template": "arcfase", "size": 112}}},
        "there is no template 'arcfase': did you mean arcface",
    ),
    "device": ({"run": {"device": "cuba:0"}}, "there is no device 'cuba': did you mean cuda?"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_dry_run_finds_unknown_components_and_options(tiny, tmp_path, monkeypatch, mistake):
    layer, words = MISTAKES[mistake]
    result = resolution(monkeypatch, tmp_path, **layer)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert mistake.startswith(("nested", "base")) or "missing" in mistake or "mine.yaml)" in result.stderr


@pytest.mark.parametrize("mistake", [name for name in MISTAKES if name != "device"])
@pytest.mark.parametrize("dry", [True, False])
def test_an_experiment_finds_them_before_anything_starts(tiny, tmp_path, monkeypatch, mistake, dry):
    layer, words = MISTAKES[mistake]
    content = {"models": ["tiny"], "datasets": ["bars"], "config": layer}
    (tmp_path / "mine.yaml").write_text(json.dumps(content))
    monkeypatch.setattr("fer_core.data.open._open_one", lambda *_: pytest.fail("data were opened"))
    result = CliRunner().invoke(main, ["experiment", str(tmp_path / "mine.yaml"), *(["--dry-run"] * dry)])
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert not (tmp_path / "runs").exists()


def test_an_experiment_finds_an_unknown_device(tiny):
    result = CliRunner().invoke(
        main, ["experiment", "--models", "tiny", "--datasets", "bars", "--device", "cuba", "--dry-run"]
    )
    assert result.exit_code == 2
    assert "there is no device 'cuba': did you mean cuda?" in result.stderr


def test_python_finds_them_before_data_are_read(tiny, monkeypatch, quick):
    monkeypatch.setattr("fer_core.data.open._open_one", lambda *_: pytest.fail("data were opened"))
    with pytest.raises(FerError, match=r"optimizer\.momentom: unknown option of adamw"):
        fer_core.train("tiny", "bars", **{**quick, "optimizer": {"name": "adamw", "momentom": 1}})
    with pytest.raises(FerError, match=r"model\.wide: unknown option of tiny, did you mean width\?"):
        fer_core.create_model("tiny", wide=3)
    with pytest.raises(FerError, match=r"loss\.label_smoothing is x"):
        fer_core.create_loss("cross_entropy", classes=("a", "b"), label_smoothing="x")


def test_weights_whose_options_do_not_fit_name_the_file(tiny, tmp_path):
    preprocessing = Preprocessing(
        input_size=16,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        color="rgb",
        eval_transforms=("resize", "normalize"),
        pipeline="batched",
    )
    model = Model(name="tiny", options={"width": "x"})
    header = Header(format=2, hook_api=1, model=model, classes=("a", "b", "c"), preprocessing=preprocessing)
    checkpoint.save_weights(tmp_path / "a.safetensors", fer_core.create_model("tiny", 3).state_dict(), header)
    assert checkpoint.load_weights(tmp_path / "a.safetensors")
    with pytest.raises(FerError, match=r"a\.safetensors: header: model\.width is x, which tiny does not accept"):
        checkpoint.build_from_checkpoint(tmp_path / "a.safetensors")
