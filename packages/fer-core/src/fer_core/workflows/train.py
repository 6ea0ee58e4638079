"""A whole run: data, training, evaluation of the chosen weights, and the record of all of it."""

from __future__ import annotations

import logging
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core import distributed
from fer_core.config import config_hash, dump_config
from fer_core.data.loader import killed_workers_told
from fer_core.data.prepare import prepare_data
from fer_core.engine import Engine
from fer_core.engine.compiling import recompilations
from fer_core.errors import FerError, one_line
from fer_core.evaluation.classes import match_classes
from fer_core.evaluation.evaluate import Evaluation, evaluate_network, score
from fer_core.files import write_text
from fer_core.inference.network import Network
from fer_core.losses import SampleBuffer
from fer_core.makers import named_in_notes
from fer_core.plotting.curves import draw_curves
from fer_core.plugins import installed_versions, load_plugins
from fer_core.reports.page import REPORT, render_run_report
from fer_core.runs import folder as run_folder
from fer_core.runs.log import RunLog
from fer_core.runs.records import FORMAT, Environment, Result, ScoredWeights, Training
from fer_core.runs.samples import write_samples
from fer_core.runs.state import ADVICE
from fer_core.training.loop import Loop
from fer_core.training.setup import build_setup
from fer_core.training.trainer import build_trainer
from fer_core.types import EVALUATED
from fer_core.weights.backbone import check_backbones
from fer_core.weights.origin import list_components

if TYPE_CHECKING:
    from fer_core.config import Config
    from fer_core.metrics import MetricsRow
    from fer_core.provenance import Component
    from fer_core.runs.records import Best
    from fer_core.types import Role

logger = logging.getLogger(__name__)
SUMMARY = ("accuracy", "mean_class_accuracy", "macro_f1")
RECOMPILATIONS = 8
"""After so many a run is warned of: torch gives up on a function that it has compiled as often."""


def start_run(config: Config) -> Path:
    """Train and evaluate as `config` says; returns the run's folder.

    Args:
        config: Its components were checked by `fer_core.checks.check_components`.

    Raises:
        FerError: Anything that the user can correct. No folder is left behind unless something was saved in it.
    """
    engine = start_engine(config, config.run.device)
    with RunLog() as log:
        with distributed.main_first():
            if distributed.is_main():
                run_folder.check(config)
            check_backbones(config.model.name, config.model.backbones)
            data = prepare_data(config)
        components = list_components(config, engine.device.name)
        trainer = build_trainer(build_setup(config, data, engine, components=components))
        folder = begin_folder(config, engine, components)
        log.open(folder)
        with run_folder.removed_unless_saved(folder, config):
            loop = Loop(trainer, folder)
            introduce(loop)
            train_and_evaluate(loop, engine)
    return folder


def begin_folder(
    config: Config,
    engine: Engine,
    components: Sequence[Component],
    add: Callable[[Path], None] = lambda made: None,
) -> Path:
    """Make the run's folder with what is known at the beginning; every process gets its name.

    Args:
        config: Of the run.
        engine: Where it runs.
        components: What it is made of.
        add: Puts more into the folder before it appears.
    """
    folder: Path | None = None
    if distributed.is_main():

        def fill(made: Path) -> None:
            write_text(made / run_folder.CONFIG, dump_config(config))
            _write_environment(made, config, engine, components)
            add(made)

        folder = run_folder.create(config, datetime.now(UTC).astimezone(), fill)
    shared: Path = distributed.share(folder)
    return shared


def start_engine(config: Config, device: str, precision: str | None = None) -> Engine:
    """The device that a run computes on; `precision` is the configured one where it is None."""
    section = config.train
    return Engine.start(
        device, precision or section.precision, compile=section.compile, deterministic=section.deterministic
    )


def introduce(loop: Loop) -> None:
    """Log what is about to be trained."""
    setup, config = loop.setup, loop.config
    sizes = ", ".join(f"{role} {len(setup.data.rows(role)):,}" for role in ("train", "val", "test"))
    parameters = sum(parameter.numel() for parameter in setup.task.model.parameters())
    engine = setup.engine
    logger.info(f"model    {config.model.name}, {parameters:,} parameters, input {config.data.input_size} pixels")
    classes = len(setup.info.classes)
    split = setup.header.split
    assert split is not None
    logger.info(f"data     {config.data.name}, {split.protocol}{split.share}: {sizes}; {classes} classes")
    rows = setup.data.rows("train")
    for name, target in setup.data.targets.items():
        what = f"{len(target.classes)} classes" if target.classes else "numbers"
        has = f"{target.take(rows).present.sum():,} of {len(rows):,} training images have it"
        logger.info(f"target   {name}, {what}: {has}")
    processes = f"{distributed.size()} processes, " if distributed.size() > 1 else ""
    exact = str(engine.deterministic).lower()
    compiled = f", compiled ({engine.compile})" if engine.compile else ""
    logger.info(f"device   {engine.device}, {processes}{engine.precision}, deterministic {exact}{compiled}")
    logger.info(f"select   {config.train.select} by {config.train.metric}, seed {config.train.seed}")
    if config.train.select == "best:test":
        logger.warning("the epoch is chosen on the test split: the result is optimistic and marked as such")
    logger.info(f"run      {loop.folder}")


def train_and_evaluate(loop: Loop, engine: Engine) -> None:
    """Train to the end, evaluate the chosen and the last weights, and write the result."""
    with named_in_notes(), loop.signals:
        began, clock = time.monotonic(), time.time()
        with killed_workers_told(lambda: _way_on(loop.folder)):
            loop.fit()
        seconds = time.monotonic() - began
        again = _recompilations(clock) if engine.compile else ()
        with loop.signals.all_saved():
            result, speed = _evaluate_run(loop, engine)
        if distributed.is_main():
            _finish(loop, result, seconds, speed, again)


def _recompilations(since: float) -> tuple[str, ...]:
    """Log what was compiled again since a time, and return it."""
    again = recompilations(since)
    for why, times in Counter(again).items():
        logger.info(f"compile  {times} x again, {why}")
    if len(again) > RECOMPILATIONS:
        logger.warning(
            f"torch compiled {len(again)} times again, which costs more than it gains, and runs a function as it "
            "is after eight times: try -o train.compile=false"
        )
    return again


def _way_on(folder: Path) -> str:
    """How to resume after an error, where something was saved."""
    return f"; then resume with fer-run train --resume {folder}" if (folder / run_folder.STATE).exists() else ""


def _finish(loop: Loop, result: Result, seconds: float, speed: float, recompiled: Sequence[str]) -> None:
    folder = loop.folder
    draw = loop.config.run.report
    if draw:
        draw_curves(loop.history, "Learning curves", result.best.epoch).save(folder / "curves.png")
    _finish_environment(folder, seconds, speed, recompiled)
    _write_samples(loop)
    write_text(folder / run_folder.RESULT, result.text())
    if draw:
        write_report(folder)
    for split, metrics in result.metrics.items():
        figures = [f"{name.replace('_', ' ')} {metrics.value(name):.2%}" for name in SUMMARY]
        figures += [f"{name} {value:.4f}" for name, value in metrics.others.items()]
        logger.info(f"{split:<8} {'  '.join(figures)}  (epoch {result.best.epoch:g})")
        for target, head in metrics.heads.items():
            figures = [f"{name.replace('_', ' ')} {value:.4f}" for name, value in head.figures.items()]
            has = f"{head.count:,} of {metrics.count:,} images have the target"
            logger.info(f"{split:<8} head {target}: {'  '.join([*figures, f'({has})'])}")
    drawn = [REPORT, *sorted(path.name for path in folder.glob("*.png"))] if draw else []
    logger.info(f"written  {folder}: {', '.join([run_folder.RESULT, run_folder.BEST, *drawn])}")


def _write_samples(loop: Loop) -> None:
    """The table of every `SampleBuffer` of one number for each training sample, where there is one."""
    setup = loop.setup
    rows = setup.data.rows("train")
    modules = ((name, module) for name, module in setup.task.named_modules() if isinstance(module, SampleBuffer))
    values = {name: module.values for name, module in modules if module.values.shape == rows.shape}
    if values:
        table = setup.data.dataset.table.iloc[rows]
        text = write_samples(setup.info.classes, table["id"].tolist(), table["label"].to_numpy(), values)
        write_text(loop.folder / run_folder.SAMPLES, text)


def write_report(folder: Path) -> None:
    """A run is complete even without its report, which `fer-run report` can write later."""
    try:
        write_text(folder / REPORT, render_run_report(folder))
    except FerError as error:
        logger.warning(f"no {REPORT}: {error}")


def _evaluate_run(loop: Loop, engine: Engine) -> tuple[Result, float]:
    """Evaluate the chosen and the last weights on every part that has faces; the result, and images/s."""
    data, folder, last = loop.setup.data, loop.folder, loop.history[-1]
    roles = [role for role in EVALUATED if len(data.rows(role))]
    best = loop.best or last
    found: dict[str, dict[Role, Evaluation]] = {}
    for name in (run_folder.BEST, run_folder.LAST):
        if name == run_folder.LAST and best.step == last.step:
            found[name] = found[run_folder.BEST]
            continue
        step = best.step if name == run_folder.BEST else last.step
        found[name] = _evaluate_weights(loop, folder / name, step, roles, engine)
    if distributed.is_main():
        for role, evaluation in found[run_folder.BEST].items():
            evaluation.save(folder, role, draw=loop.config.run.report)
    chosen = found[run_folder.BEST].values()
    speed = sum(len(evaluation.ids) for evaluation in chosen) / sum(evaluation.seconds for evaluation in chosen)
    config, header = loop.config, loop.setup.header
    assert header.dataset is not None
    assert header.split is not None
    result = Result(
        format=FORMAT,
        model=header.model,
        classes=header.classes,
        dataset=header.dataset,
        split=header.split,
        start=loop.setup.start,
        preprocessing=header.preprocessing,
        protocol=Training(
            select=config.train.select,
            metric=config.train.metric,
            selected_on_test=config.train.select == "best:test",
            seed=config.train.seed,
            epochs=loop.epochs,
            steps=loop.total_steps,
            stopped=loop.stop,
        ),
        config_sha256=config_hash(config),
        extended=loop.extended,
        best=_weights(best, found[run_folder.BEST]),
        last=_weights(last, found[run_folder.LAST]),
        components=header.components,
    )
    return result, speed


def _weights(row: MetricsRow | Best, found: Mapping[Role, Evaluation]) -> ScoredWeights:
    metrics = {role: evaluation.metrics for role, evaluation in found.items()}
    return ScoredWeights(epoch=row.epoch, step=row.step, metrics=metrics)


def _evaluate_weights(
    loop: Loop, weights: Path, step: int, roles: Sequence[Role], engine: Engine
) -> dict[Role, Evaluation]:
    """The weights of a step on some parts; what was predicted while training is not predicted again."""
    data, section, header = loop.setup.data, loop.config.data, loop.setup.header
    predicted = loop.predicted.get(step, {})
    match = match_classes(data.dataset, header.classes, weights)
    found = {role: score(each, header, weights, data.dataset, match) for role, each in predicted.items()}
    if missing := [role for role in roles if role not in found]:
        network = Network.load(weights, engine, fast=True, heads=True)
        size = section.eval_batch_size or section.batch_size
        for role in missing:
            found[role] = evaluate_network(
                network, data.dataset, data.pack, data.rows(role), match, batch_size=size, workers=section.workers
            )
    return {role: found[role] for role in roles}


def _write_environment(folder: Path, config: Config, engine: Engine, components: Sequence[Component]) -> None:
    packages = ("fer-core", "torch", "torchvision", "numpy", "pandas", "scikit-learn", "pillow")
    plugins = {plugin.distribution: plugin.version for plugin in load_plugins().loaded}
    environment = Environment(
        format=FORMAT,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(map(one_line, sys.argv)),
        **dict(engine.describe()),
        python=platform.python_version(),
        platform=platform.platform(),
        versions=installed_versions(packages) | plugins,
        config_sha256=config_hash(config),
        components=tuple(components),
    )
    write_text(folder / run_folder.ENVIRONMENT, environment.text())


def _finish_environment(folder: Path, seconds: float, speed: float, recompiled: Sequence[str]) -> None:
    path = folder / run_folder.ENVIRONMENT
    stored = Environment.read(path, ADVICE)
    measured = stored.model_copy(
        update={
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "training_seconds": (*stored.training_seconds, round(seconds, 1)),
            "evaluated_per_second": round(speed, 1),
            "recompilations": (*stored.recompilations, *recompiled),
        }
    )
    write_text(path, measured.text())
