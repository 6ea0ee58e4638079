"""The authors' networks beside ours: one training step and one pass in eval mode.

python benchmarks/upstream.py FOLDER [MODEL...] [--batch 8] [--rounds 5] [--threads 1] [--precision fp32]

FOLDER holds clones of the authors' repositories under the names below, at these commits; nothing is fetched. Their
network in torch's defaults (eager, contiguous memory, torch's default form of the optimizer, their `sam.py`) takes
turns call by call with what `fer-run train` and `fer-run evaluate` do in --precision (channels last, fused
optimizer, inference form); theirs is fp32, as their scripts are. Both train by the recipe for RAF-DB on the same
batch; the terms of the loss are computed by the same code. Times are of the processor. The ceiling is a 3 x 3
convolution of ResNet-50, timed before and after.

Not among them: MFER's script uses variables that it never defines, and GSDNet's network reads a file that is not
published. POSTER needs `einops`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from fer_core import FerError, inference_form, registry
from fer_core.benchmarking.model import BATCHES, SIDE, STEPS, count_flops, endless
from fer_core.benchmarking.noise import make_data
from fer_core.config import resolve_config
from fer_core.engine import Engine
from fer_core.engine.devices import DTYPES
from fer_core.provenance import Start
from fer_core.training.loop import Loop
from fer_core.training.setup import build_setup
from fer_core.training.trainer import build_trainer
from fer_core.types import Batch, Output, Progress
from pairs import Pair, compare
from torch import Tensor, nn


@dataclass(frozen=True)
class Upstream:
    """An authors' network.

    Attributes:
        repository: Folder of its clone, and the commit that these figures are about.
        commit: As `git rev-parse --short HEAD` shows it; another one is named on standard error.
        code: The folder below it that their scripts run in.
        module: Which module to import there.
        create: Makes the network from the module.
        outputs: What our loss calls the outputs.
        sam: The module with their form of sharpness-aware minimization.
    """

    repository: str
    commit: str
    code: str
    module: str
    create: Callable[[Any], nn.Module]
    outputs: tuple[str, ...]
    sam: str | None = None


NETWORKS = {
    "dan": Upstream(
        "DAN",
        "3872eef",
        "",
        "networks.dan",
        lambda module: module.DAN(7, 4, pretrained=False),
        ("logits", "features", "heads"),
    ),
    "adadf": Upstream(
        "Ada-DF",
        "1f033a5",
        "",
        "model",
        lambda module: module.create_model(7),
        ("auxiliary", "logits", "attention"),
    ),
    "ddamfn": Upstream(
        "DDAMFN",
        "cebfe5c",
        "",
        "networks.DDAM",
        lambda module: module.DDAMNet(7, 2, pretrained=False),
        ("logits", "features", "heads"),
    ),
    "ddamfn_pp": Upstream(
        "DDAMFN",
        "cebfe5c",
        "DDAMFN++",
        "networks.DDAM",
        lambda module: module.DDAMNet(7, 2, pretrained=False),
        ("logits", "features", "heads"),
        "sam",
    ),
    "lnsu": Upstream(
        "Mine-Extra-Knowledge",
        "2ec823d",
        "code",
        "expression.models",
        lambda module: module.SwinTransFER(importlib.import_module("backbones").get_model("swin_t")),
        ("logits", "maps"),
    ),
    "poster": Upstream(
        "POSTER",
        "ba2e3e9",
        "",
        "models.emotion_hyp",
        lambda module: module.pyramid_trans_expr(224, 7, "large"),
        ("logits", "features"),
        "data_preprocessing.sam",
    ),
    "poster_pp": Upstream(
        "POSTER_V2",
        "18de559",
        "",
        "models.PosterV2_7cls",
        lambda module: module.pyramid_trans_expr2(224, 7),
        ("logits",),
        "data_preprocessing.sam",
    ),
}

OWN_MODULES = {
    "networks",
    "model",
    "models",
    "data_preprocessing",
    "sam",
    "expression",
    "backbones",
    "utils",
    "eval",
}


class Named(nn.Module):
    """Their network with named outputs, as our losses read them."""

    def __init__(self, network: nn.Module, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.outputs = network, outputs

    def forward(self, images: Tensor) -> Output:
        """The outputs by name; a list of maps becomes one tensor."""
        found = self.network(images)
        values = found if isinstance(found, tuple) else (found,)
        whole = (torch.stack(value) if isinstance(value, list) else value for value in values)
        return dict(zip(self.outputs, whole, strict=True))


@contextmanager
def without_files() -> Iterator[None]:
    """Their constructors read weights, which change no time: any file is answered by a mapping of nothing."""
    with (
        mock.patch.object(torch, "load", return_value={"state_dict": {}}),
        mock.patch.object(nn.Module, "load_state_dict"),
    ):
        yield


@contextmanager
def folder_of(upstream: Upstream, clones: Path) -> Iterator[None]:
    """Modules come from their folder, and are forgotten afterwards: several repositories have a `models`."""
    own = Path(__file__).parent  # which has a `models`, too
    path = [str(clones / upstream.repository / upstream.code), *(each for each in sys.path if Path(each) != own)]
    before = set(sys.modules)
    try:
        with mock.patch.object(sys, "path", path), mock.patch.dict(sys.modules, thop=mock.MagicMock()):
            yield
    finally:
        for name in set(sys.modules) - before:
            if name.split(".")[0] in OWN_MODULES:
                del sys.modules[name]


def their_step(name: str, clones: Path, loop: Loop, batch: Batch) -> tuple[nn.Module, Callable[[], None]]:
    """Their network, and a training step of it as their script makes it."""
    upstream, config = NETWORKS[name], loop.config
    git = ["git", "-C", str(clones / upstream.repository), "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    if not commit.startswith(upstream.commit):
        print(f"{upstream.repository} is at {commit:.7}, not at {upstream.commit}", file=sys.stderr)
    with folder_of(upstream, clones), without_files():
        network = Named(upstream.create(importlib.import_module(upstream.module)), upstream.outputs)
        sam = importlib.import_module(upstream.sam).SAM if upstream.sam else None
    loss = registry.find("losses", config.loss.name)(loop.setup.info, **config.loss.options)
    options = dict(config.optimizer.options)
    base = options.pop("base", config.optimizer.name)
    bare = {key: value for key, value in options.items() if key not in ("rho", "adaptive", "decay_vectors")}
    parameters = [p for p in [*network.parameters(), *loss.parameters()] if p.requires_grad]
    made = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[base]
    progress = Progress(0, 1, 0, STEPS)
    network.train()

    if sam is None:
        optimizer = made(parameters, **bare)

        def step() -> None:
            optimizer.zero_grad()
            loss(network, batch, progress)["loss"].backward()
            if config.train.clip_norm is not None:
                nn.utils.clip_grad_norm_(parameters, config.train.clip_norm)
            optimizer.step()
    else:
        sharp = sam(parameters, made, rho=options["rho"], adaptive=options["adaptive"], **bare)

        def step() -> None:
            loss(network, batch, progress)["loss"].backward()
            sharp.first_step(zero_grad=True)
            loss(network, batch, progress)["loss"].backward()
            sharp.second_step(zero_grad=True)

    return network, step


def our_loop(name: str, engine: Engine, batch: int, folder: Path) -> Loop:
    """The training by the recipe for RAF-DB, over noise."""
    overrides = [f"data.batch_size={batch}", f"train.steps={STEPS}", "callbacks=[]", "data.drop_last=true"]
    model, dataset = (registry.find(kind, each) for kind, each in (("models", name), ("datasets", "rafdb")))
    config = resolve_config(model, dataset, overrides=[*overrides, f"train.precision={engine.precision}"]).config
    start = Start(description="random weights")
    return Loop(
        build_trainer(build_setup(config, make_data(4 * BATCHES * batch, SIDE), engine, start=start)), folder
    )


def evaluating(network: nn.Module, images: Tensor, *modes: Callable[[], Any]) -> Callable[[], None]:
    """A pass in eval mode."""

    def call() -> None:
        with ExitStack() as stack:
            for mode in modes:
                stack.enter_context(mode())
            network(images)

    return call


def convolution_rate(engine: Engine) -> float:
    """FLOP/s of the processor in a convolution of 256 channels at 14 x 14 places, the best of ten."""
    shapes, dtype = ((16, 256, 14, 14), (256, 256, 3, 3)), DTYPES[engine.precision]
    maps, weight = (
        torch.randn(each, dtype=dtype).contiguous(memory_format=torch.channels_last) for each in shapes
    )
    seconds = []
    with torch.inference_mode():
        for _ in range(11):
            start = time.process_time()
            torch.nn.functional.conv2d(maps, weight, padding=1)
            seconds.append(time.process_time() - start)
    return 2 * 16 * 14 * 14 * 256 * 256 * 9 / min(seconds[1:])


def row(name: str, options: argparse.Namespace, folder: Path) -> tuple[Pair, Pair, float]:
    """Training and evaluation, theirs first; the inference form's share of the ceiling of convolutions."""
    engine = Engine.start("cpu", options.precision)
    loop = our_loop(name, engine, options.batch, folder)
    given = next(endless(loop.setup.train_loader))
    network, step = their_step(name, options.folder, loop, {key: value.clone() for key, value in given.items()})
    ours = engine.place(dict(given))
    training = compare(step, lambda: loop.step(ours), engine.device, options.rounds)
    form = inference_form(loop.setup.task.model, name)
    engine.prepare(form)
    ceiling = convolution_rate(engine)
    theirs_now = evaluating(network.eval(), given["image"].contiguous(), torch.no_grad)
    ours_now = evaluating(form.eval(), ours["image"], torch.inference_mode, engine.autocast)
    evaluation = compare(theirs_now, ours_now, engine.device, 3 * options.rounds)
    share = count_flops(ours_now) / min(evaluation.second) / max(ceiling, convolution_rate(engine))
    return training, evaluation, share


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="fp32", help="Of ours: fp32, bf16 or auto.")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"milliseconds an image, batch {options.batch}, ours in {options.precision}\n")
    print("| network | training, theirs | ours | speedup | evaluation, theirs | ours | speedup | of the ceiling |")
    print("|---|---|---|---|---|---|---|---|")
    speedups: dict[str, list[float]] = {"training": [], "evaluation": []}
    with TemporaryDirectory() as folder:
        for name in options.models or NETWORKS:
            try:
                *pairs, share = row(name, options, Path(folder))
            except FerError as error:
                raise SystemExit(f"Error: {error}") from error
            cells = [name]
            for phase, pair in zip(speedups, pairs, strict=True):
                found = pair.plain()
                cells += [
                    f"{1000 * found[key] / options.batch:.1f}" for key in ("first_seconds", "second_seconds")
                ]
                cells.append(f"{1 / found['ratio']:.2f}")
                speedups[phase].append(1 / found["ratio"])
            print(f"| {' | '.join(cells)} | {share:.0%} |", flush=True)
    for phase, found in speedups.items():
        mean = math.exp(sum(map(math.log, found)) / len(found))
        print(f"\n{phase}: geometric mean {mean:.2f}, least {min(found):.2f}")


if __name__ == "__main__":
    main()
