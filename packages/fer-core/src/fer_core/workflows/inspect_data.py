"""Inspecting a dataset: problems of its files, and what a model would see of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core import registry
from fer_core.data.inspection.check import Report, check_dataset
from fer_core.data.inspection.preview import first_of_each_class, make_sheet
from fer_core.data.open import open_dataset
from fer_core.data.prepare import prepare_data
from fer_core.data.random import derive_seed
from fer_core.data.transforms import build_pipeline
from fer_core.preprocessing import Preprocessing
from fer_core.workflows.configure import resolve_run

if TYPE_CHECKING:
    from fer_core.components import Options

__all__ = ["Report", "draw_preview", "inspect_dataset"]
logger = logging.getLogger(__name__)


def inspect_dataset(
    dataset: str, root: Path | None, options: Options, *, near: bool, all_files: bool, sheet: Path | None
) -> Report:
    """Count, read and compare the images of a dataset.

    Args:
        dataset: Its name.
        root: Its folder.
        options: Of the dataset.
        near: Find near-duplicate images, too.
        all_files: Compare image files that no sample uses, too.
        sheet: The PNG to draw what was found in.

    Raises:
        FerError: The dataset cannot be opened, or the sheet cannot be written.
    """
    spec, opened = open_dataset(dataset, root, options)
    report = check_dataset(opened, spec, near=near, all_files=all_files, progress=True)
    if sheet is not None:
        from fer_core.data.inspection.sheet import draw_flagged

        drawn = draw_flagged(sheet, opened, report)
        logger.info(f"{drawn} images drawn in {sheet}" if drawn else "no image to draw: no sheet")
    return report


def draw_preview(
    dataset: str,
    model: str,
    root: Path | None,
    configs: Sequence[Path],
    overrides: Sequence[str],
    *,
    faces: int,
    out: Path,
) -> None:
    """Draw faces of a dataset as a model would see them: original, in evaluation and in early training epochs.

    Args:
        dataset: Its name.
        model: Whose recipe is used.
        root: Folder of the dataset.
        configs: YAML files over the recipe.
        overrides: `a.b=value`.
        faces: How many.
        out: The PNG to write.

    Raises:
        FerError: A mistake in the configuration or the data, or a file that cannot be written.
    """
    from fer_core.plotting.faces import save_preview

    config = resolve_run(model, dataset, data=root, config=configs, overrides=overrides).config
    section = config.data
    opened = prepare_data(config)
    labels = opened.dataset.table["label"].to_numpy()
    rows = first_of_each_class(labels, opened.rows("train"), faces)
    preprocessing = Preprocessing.from_config(section)
    sheet = make_sheet(
        opened.pack,
        rows,
        training=build_pipeline(preprocessing, section.train_transforms),
        evaluation=build_pipeline(preprocessing),
        seed=derive_seed(config.train.seed, 2),
    )
    recipe = registry.find("models", model).recipe_for(section.name)
    changes = "".join(f", {change}" for change in (*(file.name for file in configs), *overrides))
    title = f"{section.name}: recipe {config.model.name}/{recipe}{changes}"
    note = (
        f"input {section.input_size} pixels, {section.color}, {section.pipeline}, seed {config.train.seed}; "
        "normalization undone"
    )
    save_preview(out, sheet, [opened.dataset.classes[labels[row]] for row in rows], title, note)
    logger.info(f"{len(rows)} faces drawn in {out}")
