"""A diagnosis from end to end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.diagnosis.faces import Faces, pool_predictions, predictions_of
from fer_core.diagnosis.folder import Folder, NotPossibleError
from fer_core.diagnosis.from_predictions import diagnose_label_issues, diagnose_mistakes, diagnose_slices
from fer_core.diagnosis.sample import sample_faces
from fer_core.errors import FerError, nearest
from fer_core.evaluation.classes import match_classes
from fer_core.evaluation.evaluate import evaluate_network, warn_of_cut
from fer_core.files import sha256
from fer_core.inference.network import Network
from fer_core.metrics import compute_metrics
from fer_core.reports.compare import METRICS
from fer_core.runs.diagnosis import FORMAT, PARTS, Accuracies, DiagnosisRecord
from fer_core.runs.predictions import label_numbers, probabilities_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_core.engine import Engine
    from fer_core.runs.reading import RunRecord
    from fer_core.types import DatasetSpec, FERDataset, Pack

logger = logging.getLogger(__name__)
POOLED = "pooled"
"""Name of the part of the data if the test parts of several runs are pooled."""
UNKNOWN = (
    "The training data was not recorded: these are label issues only if the network has never seen these faces."
)
BATCH = 128
NEED_NETWORK = ("robustness", "attention", "embedding")
"""Parts that need a network, not only stored predictions."""


@dataclass(frozen=True)
class Diagnosis:
    """The folder that was written, its record, and one line for each run that was left out of several."""

    folder: Path
    record: DiagnosisRecord
    left_out: tuple[str, ...] = ()


def choose_parts(only: Sequence[str]) -> tuple[str, ...]:
    """The requested parts; all if none is requested.

    Raises:
        FerError: An unknown part.
    """
    for name in only:
        if name not in PARTS:
            raise FerError(f"a diagnosis has no part '{name}': {nearest(name, PARTS)}")
    return tuple(name for name in PARTS if not only or name in only)


def diagnose_checkpoint(
    checkpoint: Path,
    spec: DatasetSpec,
    dataset: FERDataset,
    pack: Pack,
    rows: NDArray[Any],
    engine: Engine,
    *,
    split: str,
    trained_on: bool | None,
    only: Sequence[str] = (),
    out: Path | None = None,
) -> Diagnosis:
    """Diagnose a network on some faces.

    Args:
        checkpoint: A weight file.
        spec: Of the dataset.
        dataset: Opened.
        pack: Its images.
        rows: Rows of its table.
        engine: Where it runs.
        split: What the rows are, for the record.
        trained_on: Whether the network was trained on some of them; label issues are left out then. None: unknown.
        only: Names of parts; all where empty.
        out: The folder; else `diagnosis-DATASET-SPLIT` beside the checkpoint.

    Raises:
        FerError: Unknown parts, label issues among training faces, or what an evaluation refuses.
    """
    parts = choose_parts(only)
    if trained_on and "label_issues" in only:
        raise FerError(
            f"the network was trained on faces of '{split}', so it has fitted their labels: look for label "
            "issues in test or val, or in a folder of kfold runs, whose test parts hold every face once"
        )
    network = Network.load(checkpoint, engine)
    warn_of_cut(network, dataset)
    match = match_classes(dataset, network.classes, checkpoint)
    found = evaluate_network(network, dataset, pack, rows, match, batch_size=BATCH)
    faces = Faces(dataset, pack, predictions_of(found), found.classes, spec.group_key)
    identity = _identity(faces, dataset.fingerprint(), split).model_copy(
        update={"weights": checkpoint.name, "sha256": sha256(checkpoint)}
    )
    folder = Folder(out or checkpoint.parent / f"diagnosis-{dataset.name}-{split}", identity)
    if trained_on:
        folder.drop(["label_issues"])
        parts = tuple(name for name in parts if name != "label_issues")
        if not only:
            logger.info(
                "label_issues  left out: the network was trained on these faces, so it has fitted their labels"
            )
    note = UNKNOWN if trained_on is None else f"No face of '{split}' was trained on."
    for name in parts:
        try:
            if name in NEED_NETWORK:
                _network_part(name, network, faces, folder)
            else:
                _stored_part(name, faces, folder, note)
        except NotPossibleError as error:
            if name in only:
                raise FerError(f"there is no part '{name}' here: {error}; leave it out of --only") from error
            logger.info(f"{name:<14}left out: {error}")
            continue
        _tell(name, folder)
    return Diagnosis(folder.path, folder.record)


def diagnose_runs(
    runs: Sequence[RunRecord],
    place: Path,
    spec: DatasetSpec,
    dataset: FERDataset,
    pack: Pack,
    *,
    only: Sequence[str] = (),
    out: Path | None = None,
) -> Diagnosis:
    """Diagnose the stored predictions of runs on their test parts, pooled: mistakes, label issues and slices.

    Args:
        runs: Of this dataset.
        place: The folder in which they were found.
        spec: Of the dataset.
        dataset: Opened as the runs did.
        pack: Its images.
        only: Names of parts; all that are possible where empty.
        out: The folder; else `diagnosis-DATASET-pooled` in `place`.

    Raises:
        FerError: Unknown or impossible parts, or runs that do not belong together.
    """
    asked = [name for name in NEED_NETWORK if name in only]
    if asked:
        raise FerError(
            f"{', '.join(asked)} cannot be computed from the stored predictions, which is all that several "
            f"runs give: name one of them, such as {runs[0].folder}"
        )
    parts = tuple(name for name in choose_parts(only) if name not in NEED_NETWORK)
    table = pool_predictions(runs, place)
    faces = Faces(dataset, pack, table, runs[0].classes, spec.group_key)
    for run in runs:  # other data are refused before anything is written
        faces.rows(() if run.predictions is None else run.predictions["id"], f"{run.folder}: ")
    names = sorted({run.model for run in runs})
    identity = _identity(faces, runs[0].fingerprint, POOLED).model_copy(
        update={"runs": len(runs), "models": tuple(names)}
    )
    folder = Folder(out or place / f"diagnosis-{dataset.name}-{POOLED}", identity)
    note = (
        f"Mean probabilities over {len(runs)} runs of {', '.join(names)}, each on its test part: no network was "
        "trained on a face that it judges here."
    )
    logger.info(
        f"pooled      {len(runs)} runs of {', '.join(names)}: {len(table):,} of {len(dataset.table):,} faces"
    )
    for name in parts:
        _stored_part(name, faces, folder, note)
        _tell(name, folder)
    if not only:
        logger.info(f"{', '.join(NEED_NETWORK)}  left out: they need a network, so name one run")
    return Diagnosis(folder.path, folder.record)


def _network_part(name: str, network: Network, faces: Faces, folder: Folder) -> None:
    # These load libraries that are not needed for stored predictions.
    from fer_core.diagnosis.attention import diagnose_attention
    from fer_core.diagnosis.embedding import diagnose_embedding
    from fer_core.diagnosis.robustness import diagnose_robustness

    if name == "attention":
        diagnose_attention(network, faces, folder)
        return
    places = sample_faces(faces.table["label"])
    if name == "robustness":
        diagnose_robustness(network, faces, places, folder, batch_size=BATCH)
    else:
        diagnose_embedding(network, faces, places, folder, batch_size=BATCH)


def _stored_part(name: str, faces: Faces, folder: Folder, note: str) -> None:
    if name == "mistakes":
        diagnose_mistakes(faces, folder)
    elif name == "label_issues":
        diagnose_label_issues(faces, folder, note)
    elif name == "slices":
        diagnose_slices(faces, folder)


def _identity(faces: Faces, fingerprint: str, split: str) -> DiagnosisRecord:
    table, classes = faces.table, faces.classes
    measured = compute_metrics(label_numbers(table, classes), probabilities_of(table, classes), classes)
    return DiagnosisRecord(
        format=FORMAT,
        dataset=faces.dataset.name,
        fingerprint=fingerprint,
        split=split,
        faces=len(table),
        classes=classes,
        metrics=Accuracies(**{name: measured.value(name) for name in METRICS}),
    )


def _tell(name: str, folder: Folder) -> None:
    if (part := folder.record.parts.made().get(name)) is not None:
        files = [table.file for table in part.tables] + [picture.file for picture in part.pictures]
        logger.info(f"{name:<14}{', '.join(files)}")
