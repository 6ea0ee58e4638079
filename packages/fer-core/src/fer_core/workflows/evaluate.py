"""Evaluating weights on a dataset."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.cache import cache_root
from fer_core.data.attributes import COPIES
from fer_core.data.inspection.copies import have_copies
from fer_core.data.packs.open import open_pack, pack_name
from fer_core.engine import Engine
from fer_core.evaluation.classes import match_classes, read_rule
from fer_core.evaluation.evaluate import Evaluation, evaluate_network, measured_rows, warn_of_cut
from fer_core.evaluation.scenes import ThroughDetector
from fer_core.evaluation.subgroups import choose_attributes, measure_subgroups
from fer_core.evaluation.through_detector import evaluate_through
from fer_core.inference.find import named_detector
from fer_core.inference.network import Network
from fer_core.runs.records import Evaluated, EvaluatedData, EvaluatedWeights
from fer_core.runs.resolve import choose_weights
from fer_core.weights.checkpoint import read_model_header
from fer_core.workflows.open import choose_rows, open_for, trained_faces

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fer_core.components import Options
    from fer_core.evaluation.subgroups import Values
    from fer_core.types import FERDataset, Pack

__all__ = ["Evaluation", "ThroughDetector", "evaluate_weights"]
logger = logging.getLogger(__name__)
COPIED, UNIQUE = "copy in training", "no copy"
"""Values of `COPIES`."""


def evaluate_weights(
    checkpoint: str | Path,
    dataset: str | None,
    data: str | Path | None,
    split: str,
    options: Options | None,
    *,
    head: str | None,
    device: str,
    precision: str,
    batch_size: int,
    classes: str | Path | Mapping[str, str | None] | None,
    restrict: bool,
    by: Sequence[str],
    through_detector: str | None,
    detector_options: Options | None,
) -> Evaluation:
    """As `fer_core.evaluate`, whose arguments these are."""
    rule, root = read_rule(classes), None if data is None else Path(data)
    chosen = choose_weights(checkpoint)
    weights_file, head = chosen.path, chosen.head if head is None else head
    header = read_model_header(weights_file)
    spec, opened, same = open_for(weights_file, header, dataset, root, options)
    columns = choose_attributes(opened, by)
    rows = choose_rows(weights_file, spec, opened, header if same else None, split)
    trained = trained_faces(weights_file, header, opened if same else None, root) if COPIES in by else None
    engine = Engine.start(device, precision)
    finder = None
    if through_detector is not None:  # before the faces are predicted
        finder = named_detector(through_detector, detector_options or {}, engine.device.torch_device)
    pack = open_pack(opened, cache_root(), progress=True)
    network = Network.load(weights_file, engine, fast=True, heads=True, head=head)
    warn_of_cut(network, opened)
    match = match_classes(opened, network.classes, weights_file, rule, restrict=restrict)
    for line in match.describe(rows):
        logger.info(line)
    rows = measured_rows(opened, rows, match)
    if trained is not None:
        columns[COPIES] = _copies(opened, pack, rows, *trained)
    found = evaluate_network(network, opened, pack, rows, match, batch_size=batch_size)
    found = replace(found, subgroups={name: measure_subgroups(found, columns[name]) for name in by})
    if finder is not None:
        name, detector = finder
        through = evaluate_through(
            network, opened, pack, rows, match, found, detector, name, batch_size=batch_size
        )
        found = replace(found, through_detector=through)
    weights = EvaluatedWeights(
        model=header.model.name,
        fingerprint=header.dataset.fingerprint if header.dataset else None,
        digest=header.split.digest if header.split else None,
        head=head,
    )
    of = EvaluatedData(name=spec.name, fingerprint=opened.fingerprint(), part=split)
    return replace(found, about=Evaluated(weights=weights, dataset=of))


def _copies(
    dataset: FERDataset, pack: Pack, rows: NDArray[np.int64], trained: FERDataset, trained_rows: NDArray[np.int64]
) -> Values:
    """Whether the training data hold a copy of each face of `rows`."""
    same = (trained.name, pack_name(trained)) == (dataset.name, pack_name(dataset))
    others = pack if same else open_pack(trained, cache_root(), progress=True)
    logger.info(f"copies   looked for in the train and val part of {trained.name}, {len(trained_rows):,} faces")
    copied = have_copies(pack, rows, others, trained_rows)
    ids = dataset.table["id"].to_numpy()[rows].tolist()
    return {sample: COPIED if copy else UNIQUE for sample, copy in zip(ids, copied, strict=True)}
