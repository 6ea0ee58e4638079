"""Checks before anything is trained: backbone weights, data and splits of every run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_core.data.prepare import divide, open_configured
from fer_core.errors import FerError
from fer_core.weights.backbone import check_backbones

if TYPE_CHECKING:
    from fer_core.experiments.plan import PlannedRun
    from fer_core.types import DatasetSpec, FERDataset

logger = logging.getLogger(__name__)


def check_runs(runs: Sequence[PlannedRun]) -> None:
    """Open every dataset and make every split.

    Raises:
        FerError: The first run that cannot be executed, and why.
    """
    opened: dict[str, tuple[DatasetSpec, FERDataset]] = {}
    divided: set[str] = set()
    for run in runs:
        data = run.config.data
        source = repr((data.name, data.root, data.options, data.classes))
        split = repr((source, data.split, data.holdout, data.split_seed, run.config.train.select))
        try:
            check_backbones(run.config.model.name, run.config.model.backbones)
            if source not in opened:
                logger.info(f"checking {data.name}")
                opened[source] = open_configured(run.config)
            if split not in divided:
                divide(run.config, *opened[source])
                divided.add(split)
        except FerError as error:
            raise FerError(f"{run.name} cannot be executed: {error}", error.details) from None
