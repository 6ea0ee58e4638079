"""From images to the expressions of their faces: found, cut as the network learnt faces, and classified."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fer_core.data.alignment import cut_face
from fer_core.errors import FerError
from fer_core.faces import Alignment, Detection
from fer_core.inference.predict import check_finite, logits_of

if TYPE_CHECKING:
    from fer_core.data.images import Pixels
    from fer_core.inference.find import Finder, Found
    from fer_core.inference.network import Network
    from fer_core.inference.sources import Photo
    from fer_core.preprocessing import Preprocessing

logger = logging.getLogger(__name__)
BATCH = 64
"""Faces that are classified at once."""
GROUP = 64
"""Images whose faces are found and classified together, at most."""
GROUP_PIXELS = 8_000_000
"""Pixels of these images, after which no further one is added."""
USUAL = Alignment(kind="box", margin=0.2)
"""How faces are cut for a network whose weights do not tell how its own were."""


@dataclass(frozen=True)
class Face:
    """One face.

    Attributes:
        source: The image that it is in.
        label: Its expression.
        probability: Of the label.
        probabilities: Of every class.
        number: Which face of the image it is, from the left, from 1 on; None where the whole image is the face.
        detection: Where it is; None likewise.
        model: The weights, where several say something.
    """

    source: str
    label: str
    probability: float
    probabilities: dict[str, float]
    number: int | None = None
    detection: Detection | None = None
    model: str = ""


@dataclass(frozen=True)
class Answer:
    """What is said of one image.

    Attributes:
        source: Where it came from.
        below: Where it is below the folder that was named, see `ImageFile`.
        faces: From left to right, each by all networks in turn; empty where it shows none.
        error: Why it could not be read, or its faces not be cut.
        pixels: uint8 [H, W, 3 or 1], where they are asked for.
    """

    source: str
    below: Path
    faces: tuple[Face, ...] = ()
    error: FerError | None = None
    pixels: Pixels | None = field(default=None, repr=False, compare=False)


def cut_of(preprocessing: Preprocessing) -> Alignment:
    """How faces are cut for a network: as its training faces were, or as usual where that is not known."""
    trained = preprocessing.alignment
    return USUAL if trained is None or trained.kind == "none" else trained


class Classifier:
    """A network that classifies faces of images.

    Args:
        network: It.
        name: What `Face.model` is.
    """

    def __init__(self, network: Network, name: str = "") -> None:
        self.network, self.name = network, name
        trained = network.header.preprocessing.alignment
        self.alignment, self.note = cut_of(network.header.preprocessing), ""
        if self.alignment is not trained:
            why = "was trained on whole images" if trained else "does not say how its training faces were cut"
            self.note = f"faces    cut as {USUAL}: {network.checkpoint} {why}"

    def cut(self, photo: Photo, face: Detection) -> Pixels:
        """A face as the network learnt faces.

        Raises:
            FerError: It cannot be cut, or has no points though the alignment needs them.
        """
        if self.note:
            logger.info(self.note)
            self.note = ""
        if self.alignment.kind == "points" and face.points is None:
            raise FerError(
                f"{photo.name}: its faces have no five points, but {self.network.checkpoint} was trained on "
                f"faces cut by {self.alignment}: use a detector that gives points, such as centerface"
            )
        return cut_face(photo.image, self.alignment, box=face.box, points=face.points)

    @torch.inference_mode()
    def classify(self, faces: Sequence[Pixels], names: Sequence[str]) -> list[list[float]]:
        """The probabilities of each face.

        Raises:
            FerError: They are not finite.
        """
        network, rows = self.network, []
        for start in range(0, len(faces), BATCH):
            batch = network.engine.place({"image": network.prepare(faces[start : start + BATCH])})
            with network.engine.autocast():
                logits = logits_of(network.model, batch["image"])
            probabilities = (logits / network.temperature).softmax(dim=1).cpu()
            check_finite(probabilities, str(network.checkpoint), names[start : start + BATCH])
            rows += probabilities.tolist()
        return rows


def answer(
    photos: Iterator[Photo],
    finder: Finder,
    classifiers: Sequence[Classifier],
    *,
    keep_pixels: bool = False,
    at_once: int | None = None,
) -> Iterator[Answer]:
    """What the networks say of each image, in order.

    Args:
        photos: The images.
        finder: Says where their faces are.
        classifiers: The networks.
        keep_pixels: Whether answers have `pixels`.
        at_once: How many images are looked at together; None: `GROUP`.

    Raises:
        FerError: As reading the images, the detector and the networks do; what is wrong with one image is its
            answer's `error`.
    """
    for group in groups(photos, at_once):
        yield from _answers(group, finder, classifiers, keep_pixels=keep_pixels)
        group.clear()  # before the next one is read


def _answers(
    group: Sequence[Photo], finder: Finder, classifiers: Sequence[Classifier], *, keep_pixels: bool
) -> Iterator[Answer]:
    answers = _answer_group(group, find_in(group, finder), classifiers)
    for photo, faces in zip(group, answers, strict=True):
        pixels = photo.pixels if keep_pixels and not isinstance(photo.pixels, FerError) else None
        if isinstance(faces, FerError):
            yield Answer(photo.name, photo.below, error=faces, pixels=pixels)
        else:
            yield Answer(photo.name, photo.below, tuple(faces), pixels=pixels)


def groups(photos: Iterator[Photo], at_once: int | None = None) -> Iterator[list[Photo]]:
    """Images that are looked at together, so many that batches are filled and memory is not."""
    group: list[Photo] = []
    pixels = 0
    for photo in photos:
        group.append(photo)
        pixels += 0 if isinstance(photo.pixels, FerError) else photo.pixels.size // photo.pixels.shape[2]
        if len(group) == (at_once or GROUP) or pixels >= GROUP_PIXELS:
            del photo
            yield group
            group, pixels = [], 0
    if group:
        yield group


def find_in(group: Sequence[Photo], finder: Finder) -> list[Found]:
    """The faces of the images; the error of those that could not be read."""
    found = iter(finder.find([photo for photo in group if not isinstance(photo.pixels, FerError)]))
    return [photo.pixels if isinstance(photo.pixels, FerError) else next(found) for photo in group]


def _answer_group(
    group: Sequence[Photo], found: Sequence[Found], classifiers: Sequence[Classifier]
) -> list[list[Face] | FerError]:
    """The faces of every image, or the error of one that could not be read or cut."""
    answers: list[list[Face] | FerError] = [faces if isinstance(faces, FerError) else [] for faces in found]
    of_network = [_Cuts() for _ in classifiers]
    for place, (photo, faces) in enumerate(zip(group, found, strict=True)):
        if isinstance(photo.pixels, FerError) or isinstance(faces, FerError):
            continue
        try:
            for classifier, cuts in zip(classifiers, of_network, strict=True):
                cuts.add(place, classifier, photo, faces)
        except FerError as error:
            answers[place] = FerError(f"{photo.name}: {error}") if photo.name not in str(error) else error
    for classifier, cuts in zip(classifiers, of_network, strict=True):
        rows = classifier.classify(cuts.pixels, [group[place].name for place, *_ in cuts.places])
        for (place, number, detection), row in zip(cuts.places, rows, strict=True):
            faces_of = answers[place]
            if not isinstance(faces_of, FerError):
                faces_of.append(_face(group[place].name, classifier, row, number, detection))
    for faces_of in answers:
        if not isinstance(faces_of, FerError):
            faces_of.sort(key=lambda face: face.number or 0)  # stable: networks stay in their order
    return answers


class _Cuts:
    """Faces that were cut for one network, and where each came from."""

    def __init__(self) -> None:
        self.pixels: list[Pixels] = []
        self.places: list[tuple[int, int | None, Detection | None]] = []

    def add(self, place: int, classifier: Classifier, photo: Photo, faces: Sequence[Detection] | None) -> None:
        """The faces of an image; None for the whole image."""
        if faces is None:
            self.pixels.append(photo.image)
            self.places.append((place, None, None))
            return
        self.pixels += [classifier.cut(photo, face) for face in faces]
        self.places += [(place, number, face) for number, face in enumerate(faces, 1)]


def _face(
    source: str, classifier: Classifier, row: Sequence[float], number: int | None, at: Detection | None
) -> Face:
    classes = classifier.network.classes
    best = max(range(len(row)), key=row.__getitem__)
    known = dict(zip(classes, row, strict=True))
    return Face(source, classes[best], row[best], known, number, at, classifier.name)
