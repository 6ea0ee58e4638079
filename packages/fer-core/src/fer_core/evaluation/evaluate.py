"""A weight file on a dataset, classes matched by name."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fer_core.data.loader import killed_workers_told
from fer_core.data.targets import targets_of
from fer_core.errors import FerError
from fer_core.evaluation.classes import Match
from fer_core.files import write_text
from fer_core.inference.heads import Head, heads_of, measure
from fer_core.inference.network import Network
from fer_core.inference.predict import check_finite, predict
from fer_core.metrics import Metrics
from fer_core.metrics.apply import recorded_metrics
from fer_core.metrics.frame import metrics_frame
from fer_core.plotting.confusion import draw_confusion
from fer_core.runs.folder import EVALUATION, HEADS, PREDICTIONS
from fer_core.runs.predictions import GROUP, write_predictions
from fer_core.runs.records import FORMAT, Evaluated, EvaluationRecord, LabelSpace, Subgroup

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from fer_core.evaluation.scenes import ThroughDetector
    from fer_core.inference.predict import Predictions
    from fer_core.types import FERDataset, Pack
    from fer_core.weights.header import Header

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Predictions of one checkpoint on some faces.

    Attributes:
        classes: The checkpoint's class names, in its order; merged or fewer where a rule says so.
        ids: Sample ids [N].
        labels: Indices into `classes` [N].
        probabilities: float32 [N, C].
        metrics: What `compute_metrics` gives.
        label_space: The rule that matched different classes; None if they were the same.
        groups: Whom each face belongs to (the table's `group`: subject, film), empty text where one face's is not
            known [N]; no item where the dataset knows none.
        heads: What the heads for extra targets predict, by the name of the target.
        about: Which weights on which data, for reports; None inside a run, whose `result.json` says it.
        seconds: That predicting took, with reading the faces, without loading the weights.
        subgroups: Figures for each value of the attributes that were asked for, by name.
        through_detector: What it scores where a detector has to find the same faces in scenes, if that was asked.
    """

    classes: tuple[str, ...]
    ids: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    metrics: Metrics
    label_space: LabelSpace | None = None
    groups: list[str] = field(default_factory=list)
    heads: Mapping[str, Head] = field(default_factory=dict)
    about: Evaluated | None = None
    seconds: float = 0.0
    subgroups: Mapping[str, tuple[Subgroup, ...]] = field(default_factory=dict)
    through_detector: ThroughDetector | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row per face: `id`, `label` and `predicted` (names of classes), `group` where known, `p_CLASS`.

        Heads for extra targets add `target_NAME` (nothing where it is missing), `head_NAME`, and for classes their
        probabilities as `head_NAME:CLASS`.
        """
        import pandas as pd

        names = np.array(self.classes, dtype=object)
        columns = {
            "id": pd.Series(self.ids, dtype=object),  # names of files need not be UTF-8
            "label": names[self.labels],
            "predicted": names[self.probabilities.argmax(axis=1)],
            **({"group": pd.Series(self.groups, dtype=object)} if self.groups else {}),
            **{f"p_{name}": self.probabilities[:, number] for number, name in enumerate(self.classes)},
            **self._head_columns(),
        }
        return pd.DataFrame(columns)

    def _head_columns(self) -> dict[str, NDArray[Any]]:
        return {key: column for name, head in self.heads.items() for key, column in head.columns(name).items()}

    def __repr__(self) -> str:
        of = "" if self.about is None else f" of {self.about.weights.model} on {self._data(self.about)}"
        return f"<evaluation{of}: {len(self.ids):,} faces, accuracy {self.metrics.accuracy:.2%}>"

    def _repr_html_(self) -> str:
        """What notebooks show."""
        part = "" if self.about is None else self._data(self.about)
        table: str = metrics_frame([({"part": part}, self.metrics)]).to_html(
            index=False, float_format="{:.4f}".format
        )
        return f"<p>{escape(repr(self)[1:-1])}</p>{table}"

    @staticmethod
    def _data(about: Evaluated) -> str:
        return f"{about.dataset.name} {about.dataset.part}"

    def save(self, folder: Path, name: str, *, draw: bool = True) -> list[Path]:
        """Write `predictions-NAME.csv`, `confusion-NAME.png`, and outside of a run `evaluation-NAME.json`.

        Where there are heads for extra targets, their predictions are in `heads-NAME.csv`, by `id`. `draw` is
        whether to draw the confusion matrix.
        """
        written = [folder / f"{PREDICTIONS}{name}.csv"]
        columns = (self.classes, self.ids, self.labels, self.probabilities, self.groups)
        write_text(written[0], write_predictions(*columns))
        if draw:
            written.append(folder / f"confusion-{name}.png")
            title = f"Confusion matrix, {name} split, {self.metrics.count:,} images"
            draw_confusion(self.metrics.confusion, self.classes, title).save(written[-1])
        if self.heads:
            import pandas as pd

            written.append(folder / f"{HEADS}{name}.csv")
            frame = pd.DataFrame({"id": pd.Series(self.ids, dtype=object), **self._head_columns()})
            write_text(written[-1], frame.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
        if self.about is None:
            return written
        record = folder / f"{EVALUATION}{name}.json"
        content = EvaluationRecord(
            format=FORMAT,
            weights=self.about.weights,
            dataset=self.about.dataset,
            classes=self.classes,
            metrics=self.metrics,
            label_space=self.label_space,
            subgroups=dict(self.subgroups),
        )
        write_text(record, content.text())
        return [*written, record]


def measured_rows(dataset: FERDataset, rows: NDArray[np.int64], match: Match) -> NDArray[np.int64]:
    """Those of `rows` whose class is measured. Raises FerError if none is."""
    found = rows[match.labels[rows] >= 0]
    if not len(found):
        raise FerError(f"{dataset.name} has no face of {', '.join(match.present)} here: use another --split")
    return found


def warn_of_cut(network: Network, dataset: FERDataset) -> None:
    """Log a warning if the faces of a dataset are known to be aligned differently from the training faces."""
    trained, here = network.pipeline.preprocessing.alignment, dataset.alignment
    if trained is None or here is None or trained.cuts_like(here):
        return
    own = network.header.dataset
    if own is not None and own.fingerprint == dataset.fingerprint():
        return  # its configuration said how they are cut
    logger.warning(
        f"the network was trained on faces cut by {trained}, those of {dataset.name} are cut by {here}: expect "
        "lower figures"
    )


def evaluate_network(
    network: Network,
    dataset: FERDataset,
    pack: Pack,
    rows: NDArray[np.int64],
    match: Match,
    *,
    batch_size: int,
    workers: int | Literal["auto"] = "auto",
) -> Evaluation:
    """Predict faces of a dataset with a network, and measure how well.

    Args:
        network: The network.
        dataset: Opened.
        pack: Its images.
        rows: Rows of its table, each of a class that is measured (`measured_rows`).
        match: How its classes are those of the network.
        batch_size: Batch size.
        workers: Processes that read images, where the weights were trained with the per-image pipeline.
    """
    loader = network.loader(pack, rows, match.labels, batch_size=batch_size, workers=workers)
    with killed_workers_told():
        found = predict(network.model, loader, network.engine, network.header.temperatures)
    loader.close()
    return score(found, network.header, network.checkpoint, dataset, match)


def score(found: Predictions, header: Header, checkpoint: Path, dataset: FERDataset, match: Match) -> Evaluation:
    """What predictions of the weights in `checkpoint`, whose header is given, score; see `evaluate_network`."""
    check_finite(found.probabilities, str(checkpoint))
    ids = dataset.table["id"].to_numpy()[found.rows].tolist()
    probabilities = match.probabilities(found.probabilities)
    heads = heads_of(found, targets_of(dataset), header.targets)
    scored = replace(found, probabilities=probabilities)
    metrics = measure(scored, match.classes, heads, recorded_metrics(header.components))
    groups = dataset.table[GROUP].to_numpy()[found.rows].tolist() if GROUP in dataset.table.columns else []
    known = groups if any(groups) else []
    return Evaluation(
        match.classes,
        ids,
        found.labels,
        probabilities,
        metrics,
        match.record,
        known,
        heads,
        seconds=found.seconds,
    )
