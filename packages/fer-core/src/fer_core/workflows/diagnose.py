"""Diagnosing a network, or the stored predictions of several runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.cache import cache_root
from fer_core.data.packs.open import open_pack
from fer_core.data.union import find_dataset
from fer_core.diagnosis.diagnose import Diagnosis, choose_parts, diagnose_checkpoint, diagnose_runs
from fer_core.engine import Engine
from fer_core.errors import FerError
from fer_core.runs import folder as run_folder
from fer_core.runs.reading import collect
from fer_core.runs.resolve import choose_weights, is_run
from fer_core.weights.address import is_address
from fer_core.weights.checkpoint import read_header, read_model_header
from fer_core.workflows.open import choose_rows, is_trained_on, open_for

if TYPE_CHECKING:
    from fer_core.components import Options

logger = logging.getLogger(__name__)


def diagnose_weights(
    place: str | Path,
    dataset: str | None,
    data: str | Path | None,
    split: str | None,
    options: Options | None,
    *,
    only: Sequence[str],
    out: str | Path | None,
    device: str,
) -> Diagnosis:
    """As `fer_core.diagnose`, whose arguments these are."""
    choose_parts(only)
    root, out = (None if each is None else Path(each) for each in (data, out))
    if dataset is not None:
        find_dataset(dataset)
    if not is_address(place) and Path(place).is_dir() and not is_run(Path(place)):
        return _diagnose_runs(Path(place), dataset, root, split, options, only, out)
    found = choose_weights(place)
    checkpoint = found.path
    header = read_model_header(checkpoint)
    spec, opened, same = open_for(checkpoint, header, dataset, root, options)
    part = split or "test"
    if out is None and (found.name or is_address(place)):  # not among the files of a package or of the cache
        out = Path(f"{found.name or checkpoint.stem}-diagnosis-{spec.name}-{part}")
    rows = choose_rows(checkpoint, spec, opened, header if same else None, part)
    engine = Engine.start(device)
    pack = open_pack(opened, cache_root(), progress=True)
    return diagnose_checkpoint(
        checkpoint,
        spec,
        opened,
        pack,
        rows,
        engine,
        split=part,
        trained_on=is_trained_on(header, spec, part),
        only=only,
        out=out,
    )


def _diagnose_runs(
    place: Path,
    dataset: str | None,
    root: Path | None,
    split: str | None,
    options: Options | None,
    only: Sequence[str],
    out: Path | None,
) -> Diagnosis:
    if split is not None:
        raise FerError("--split does not apply to several runs, whose test parts are pooled: leave it out")
    found = collect([place])
    for line in found.problems:
        logger.warning(line)
    names = sorted({run.dataset for run in found.runs})
    if dataset is None and len(names) > 1:
        raise FerError(
            f"the runs in {place} are on {' and '.join(names)}: name one, as in diagnose {place} {names[0]}"
        )
    name = find_dataset(dataset).name if dataset is not None else names[0] if names else "a dataset"
    runs = [run for run in found.runs if run.dataset == name]
    if not runs:
        raise FerError(
            f"there is no finished run on {name} in {place}: name a checkpoint, or a folder with finished runs"
        )
    weights = runs[0].folder / run_folder.BEST
    spec, opened, _ = open_for(weights, read_header(weights), name, root, options)
    pack = open_pack(opened, cache_root(), progress=True)
    diagnosis = diagnose_runs(runs, place, spec, opened, pack, only=only, out=out)
    return replace(diagnosis, left_out=found.problems)
