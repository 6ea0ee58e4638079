from __future__ import annotations

import copy
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fer_core.components import build
from fer_core.errors import FerError
from fer_core.optim import SAM, adam, adamw, cosine, exponential, sam, sgd, step
from torch import Tensor, nn
from torch.nn import functional as F

X = torch.randn(16, 6, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (16,), generator=torch.Generator().manual_seed(2))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def closure_of(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor = X, y: Tensor = Y
) -> Callable[[], Any]:
    def closure() -> dict[str, Any]:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return {"loss": loss.detach()}

    return closure


def weights(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def literal_sam_gradients(model: nn.Module, rho: float, adaptive: bool) -> list[Tensor]:
    """Gradients at the climbed point, one parameter after the other, in float64."""
    model = copy.deepcopy(model).double()
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(F.cross_entropy(model(X.double()), Y), parameters)
    if adaptive:
        norm = sum(((p.abs() * g) ** 2).sum() for p, g in zip(parameters, gradients, strict=True)) ** 0.5
        climb = [rho * p**2 * g / norm for p, g in zip(parameters, gradients, strict=True)]
    else:
        norm = sum((g**2).sum() for g in gradients) ** 0.5
        climb = [rho * g / norm for g in gradients]
    with torch.no_grad():
        for p, e in zip(parameters, climb, strict=True):
            p.add_(e)
    return list(torch.autograd.grad(F.cross_entropy(model(X.double()), Y), parameters))


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("base", ["sgd", "adam"])
def test_sam_equals_two_literal_passes(base: str, adaptive: bool) -> None:
    model = network()
    reference = copy.deepcopy(model)
    plain = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[base](reference.parameters(), lr=0.1)
    optimizer = sam(model.parameters(), base=base, rho=0.5, adaptive=adaptive, lr=0.1)
    for _ in range(3):
        for p, g in zip(reference.parameters(), literal_sam_gradients(reference, 0.5, adaptive), strict=True):
            p.grad = g.float()
        plain.step()
        optimizer.step(closure_of(model, optimizer))
    torch.testing.assert_close(weights(model), weights(reference), rtol=1e-4, atol=1e-5)


def test_sam_calls_the_closure_twice_and_returns_its_first_value() -> None:
    model = network()
    optimizer = sam(model.parameters(), base="sgd", rho=0.5, lr=0.1)
    closure, losses, seen = closure_of(model, optimizer), [], []

    def recording() -> dict[str, Any]:
        assert torch.is_grad_enabled()
        seen.append(weights(model))
        losses.append(closure())
        return losses[-1]

    before = weights(model)
    assert optimizer.step(recording) is losses[0]
    assert len(losses) == 2
    torch.testing.assert_close(seen[0], before, rtol=0, atol=0)
    distance = sum(((a - b) ** 2).sum() for a, b in zip(seen[1], before, strict=True)) ** 0.5
    assert distance.item() == pytest.approx(0.5, rel=1e-5)
    assert losses[1]["loss"] > losses[0]["loss"]


@pytest.mark.parametrize("fails_at", [1, 2])
@pytest.mark.parametrize("how", ["skipped", "raised"])
def test_weights_and_moments_survive_a_failed_pass_bit_by_bit(fails_at: int, how: str) -> None:
    model = network()
    optimizer = sam(model.parameters(), rho=3.0, lr=0.1)
    closure, calls = closure_of(model, optimizer), []
    optimizer.step(closure)
    before, state = weights(model), copy.deepcopy(optimizer.state_dict())

    def failing() -> dict[str, Any]:
        calls.append(closure())
        if len(calls) == fails_at:
            if how == "raised":
                raise KeyboardInterrupt
            return {"skipped": True}
        return {"skipped": False}

    if how == "raised":
        with pytest.raises(KeyboardInterrupt):
            optimizer.step(failing)
    else:
        assert optimizer.step(failing)["skipped"]
    assert len(calls) == fails_at
    torch.testing.assert_close(weights(model), before, rtol=0, atol=0)
    torch.testing.assert_close(optimizer.state_dict(), state, rtol=0, atol=0)


def test_sam_goes_back_exactly_even_from_far_away() -> None:
    model = network()
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.0), rho=1e6)
    before = weights(model)
    optimizer.step(closure_of(model, optimizer))
    assert all(torch.equal(a, b) for a, b in zip(weights(model), before, strict=True))


@pytest.mark.parametrize("factory", [sgd, adam, adamw, sam])
def test_parameters_without_gradient_are_left_alone(factory: Any) -> None:
    model = network()
    unused = nn.Parameter(torch.ones(4))
    frozen = nn.Parameter(torch.ones(4), requires_grad=False)
    optimizer = factory([*model.parameters(), unused, frozen], lr=0.1, weight_decay=0.1)
    seen = []
    closure = closure_of(model, optimizer)
    optimizer.step(lambda: (closure(), seen.append((unused.clone(), frozen.clone())))[0])
    assert all(torch.equal(t, torch.ones(4)) for pair in [*seen, (unused, frozen)] for t in pair)


def test_a_step_without_any_gradient_changes_nothing() -> None:
    model = network()
    optimizer = sam(model.parameters(), lr=0.1)
    before = weights(model)
    optimizer.step(lambda: {"loss": 0.0})
    torch.testing.assert_close(weights(model), before, rtol=0, atol=0)


def test_a_schedule_acts_on_sam_after_loading() -> None:
    model = network()
    optimizer = sam(model.parameters(), base="sgd", momentum=0.9, lr=0.1)
    scheduler = exponential(optimizer, total=10, per_epoch=1, gamma=0.5)
    optimizer.step(closure_of(model, optimizer))
    scheduler.step()
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    scheduler.step()
    assert [g["lr"] for g in optimizer.base.param_groups] == [pytest.approx(0.025)]
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))], "lr": 0.7})
    assert optimizer.base.param_groups[1]["lr"] == 0.7
    assert optimizer.base.param_groups[1]["momentum"] == 0.9
    assert optimizer.state is optimizer.base.state


def test_a_copied_sam_goes_on_like_the_original() -> None:
    model = network()
    optimizer = sam(model.parameters(), lr=0.1)
    optimizer.step(closure_of(model, optimizer))
    other, copied = copy.deepcopy((model, optimizer))
    optimizer.step(closure_of(model, optimizer))
    copied.step(closure_of(other, copied))
    torch.testing.assert_close(weights(other), weights(model), rtol=0, atol=0)


OPTIMIZERS = {
    "sgd": lambda p: sgd(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3, decay_vectors=False),
    "adam": lambda p: adam(p, lr=0.01, betas=[0.8, 0.99], weight_decay=1e-3),
    "adamw": lambda p: adamw(p, lr=0.01),
    "sam-adam": lambda p: sam(p, lr=0.01),
    "sam-sgd": lambda p: sam(p, base="sgd", lr=0.1, momentum=0.9, adaptive=True),
}
SCHEDULES = {
    "cosine": lambda o: cosine(o, total=8, per_epoch=2, warmup=1.0, min_lr=1e-5),
    "step": lambda o: step(o, total=8, per_epoch=2, every=2),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resuming_equals_never_stopping(name: str, schedule: str) -> None:
    def start() -> tuple[nn.Module, Any, Any]:
        model = network()
        optimizer = OPTIMIZERS[name](model.parameters())
        return model, optimizer, SCHEDULES[schedule](optimizer)

    def run(model: nn.Module, optimizer: Any, scheduler: Any, steps: range) -> None:
        for i in steps:
            x = X.roll(i, 0)
            optimizer.step(closure_of(model, optimizer, x, Y.roll(i)))
            scheduler.step()

    whole = start()
    run(*whole, range(8))

    first = start()
    run(*first, range(3))
    file = io.BytesIO()
    torch.save([part.state_dict() for part in first], file)
    file.seek(0)
    second = start()
    for part, state in zip(second, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    run(*second, range(3, 8))
    torch.testing.assert_close(weights(second[0]), weights(whole[0]), rtol=0, atol=0)
    torch.testing.assert_close(second[1].state_dict(), whole[1].state_dict(), rtol=0, atol=0)
    assert second[2].get_last_lr() == whole[2].get_last_lr()


@pytest.mark.parametrize(
    ("factory", "reference", "options"),
    [
        (sgd, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2, "nesterov": True}),
        (adam, torch.optim.Adam, {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-6, "weight_decay": 1e-2}),
        (adamw, torch.optim.AdamW, {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-6, "weight_decay": 1e-2}),
    ],
)
def test_factories_hand_every_option_on(factory: Any, reference: Any, options: dict[str, Any]) -> None:
    model, other = network(), network()
    ours, theirs = factory(model.parameters(), **options), reference(other.parameters(), **options)
    for _ in range(3):
        ours.step(closure_of(model, ours))
        theirs.step(closure_of(other, theirs))
    torch.testing.assert_close(weights(model), weights(other), rtol=1e-5, atol=1e-6)


def test_decay_can_spare_vectors_within_each_group() -> None:
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": [model[2].bias]}]
    optimizer = adamw(groups, lr=0.1, weight_decay=0.2, decay_vectors=False)
    got = [(g["lr"], g["weight_decay"], [p.ndim for p in g["params"]]) for g in optimizer.param_groups]
    assert got == [(0.5, 0.2, [2]), (0.5, 0.0, [1]), (0.1, 0.0, [1])]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("sgd", {"lr": 0}, "optimizer.lr is 0, which sgd does not accept: expected a number above 0"),
        ("adam", {"lr": float("nan")}, "optimizer.lr is .nan"),
        ("adamw", {"lr": "fast"}, "optimizer.lr is fast"),
        ("sam", {"lr": -1.0}, "optimizer.lr is -1.0, which adam does not accept"),
        ("sam", {"rho": 0.0}, "optimizer.rho is 0.0, which sam does not accept"),
        ("sam", {"base": "adm"}, "adam"),
        ("sam", {"base": "sam"}, "cannot be its own base"),
        ("sam", {"momentun": 0.9, "base": "sgd"}, "did you mean momentum"),
        (
            "adam",
            {"betas": [0.9]},
            "betas is [0.9], which adam does not accept: expected a list of 2 numbers",
        ),
        ("adam", {"betas": [0.9, 1.0]}, "adam rejects"),
        ("sgd", {"nesterov": True}, "sgd rejects"),
        (
            "sgd",
            {"momentum": -0.5},
            "optimizer.momentum is -0.5, which sgd does not accept",
        ),
    ],
)
def test_wrong_options_are_explained_in_one_line(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(FerError, match=re.escape(said)) as caught:
        build("optimizers", name, options, network().parameters())
    assert "\n" not in str(caught.value)


def test_nothing_to_train_is_explained() -> None:
    with pytest.raises(FerError, match="frozen"):
        adam([])


def test_sam_needs_a_closure() -> None:
    with pytest.raises(ValueError, match="closure"):
        sam(network().parameters()).step()


def test_a_late_cosine_repeats_its_first_rate():
    def rates(**options):
        optimizer = sgd([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule, taken = cosine(optimizer, total=8, per_epoch=4, warmup_fraction=0.25, **options), []
        for _ in range(8):
            taken.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return taken

    assert rates(late=True) == [rates()[0], *rates()[:-1]]
