"""An embedding of faces: the network's features in two dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fer_core.diagnosis.folder import Folder, NotPossibleError
from fer_core.diagnosis.trace import find_features, run_to
from fer_core.plotting.embedding import draw_embedding
from fer_core.runs.diagnosis import EmbeddingFigures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fer_core.diagnosis.faces import Faces
    from fer_core.inference.network import Network

    Floats = NDArray[np.float32]

FEWEST = 30
"""Number of faces below which t-SNE is meaningless: their principal components are drawn."""
COMPONENTS = 50
"""Principal components that t-SNE sees."""
PERPLEXITY = 30.0
"""About how many neighbours of a face t-SNE keeps near; a third of the faces where that is less."""


@torch.inference_mode()
def read_features(network: Network, faces: Faces, rows: NDArray[np.int64], *, batch_size: int) -> Floats:
    """The vector of every face from which its logits are computed; the mean over views where there are several.

    Args:
        network: What is diagnosed.
        faces: Of the dataset.
        rows: Rows of the dataset's table, [N].
        batch_size: Batch size.

    Returns:
        float32 [N, D].

    Raises:
        NotPossibleError: The network has no such vector.
    """
    engine, found, site = network.engine, [], None
    loader = network.loader(faces.pack, rows, faces.dataset.table["label"].to_numpy(), batch_size=batch_size)
    for cpu_batch in loader.epoch(0):
        images = engine.place(cpu_batch)["image"]
        count, views = len(images), images.shape[1] if images.dim() == 5 else 1
        images = images.flatten(0, 1) if images.dim() == 5 else images
        if site is None:
            with torch.inference_mode(False):
                site = find_features(network.model, images[:2].clone(), len(network.classes))
        if site is None:
            raise NotPossibleError("this network has no vector of features between its images and its logits")
        with engine.autocast():
            parts = [run_to(network.model, part, site)[0].float() for part in torch.split(images, batch_size)]
        found.append(torch.cat(parts).view(count, views, -1).mean(1).cpu())
    loader.close()
    features: Floats = torch.cat(found).numpy()
    if not np.isfinite(features).all():
        raise NotPossibleError("this network's features are not all finite, so it has diverged")
    return features


def embed(features: Floats, seed: int = 0) -> tuple[Floats, str]:
    """Features in two dimensions: principal components, and of these t-SNE where there are faces enough.

    van der Maaten, Hinton: Visualizing Data using t-SNE, JMLR 9, 2008.

    Args:
        features: [N, D].
        seed: Equal seeds give equal maps.

    Returns:
        Float32 [N, 2], and by what they were found.
    """
    count = len(features)
    components = principal_components(features, min(COMPONENTS, count))
    # If all features are equal, t-SNE would divide by 0.
    if count < FEWEST or not components.any():
        return components[:, :2], "the first two principal components"
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (count - 1) / 3)
    # PCA gives the start, too: scaled, it is what makes the map's large shapes repeatable.
    mapped = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(components)
    return mapped.astype(
        np.float32
    ), f"t-SNE (perplexity {perplexity:g}) of {components.shape[1]} principal components"


def principal_components(features: Floats, most: int) -> Floats:
    """Features [N, D] on their axes of greatest variance, [N, 2 to `most`]; axes that are missing are 0."""
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])  # else they are arbitrary
    found = (left * values * signs)[:, :most]
    return np.pad(found, ((0, 0), (0, max(2 - found.shape[1], 0)))).astype(np.float32)


def neighbour_shares(features: Floats, labels: Sequence[str]) -> dict[str, float]:
    """For each class, the share of its faces whose nearest other face, by the features, is of that class."""
    from sklearn.neighbors import NearestNeighbors

    names = np.asarray(labels)
    nearest = NearestNeighbors(n_neighbors=1).fit(features).kneighbors(return_distance=False)[:, 0]
    alike = names == names[nearest]
    return {str(name): float(alike[names == name].mean()) for name in np.unique(names)}


def diagnose_embedding(
    network: Network, faces: Faces, places: NDArray[np.int64], folder: Folder, *, batch_size: int
) -> None:
    """`embedding.csv` and the map; `places` are lines of the predictions.

    Raises:
        NotPossibleError: The network has no vector of features, or there are too few faces.
    """
    import pandas as pd

    if len(places) < 3:
        raise NotPossibleError("a map needs at least three faces")
    chosen = faces.table.iloc[places]
    features = read_features(network, faces, faces.rows(chosen["id"]), batch_size=batch_size)
    mapped, how = embed(features)
    table = pd.DataFrame({name: chosen[name].to_numpy() for name in ("id", "label", "predicted")})
    table = table.assign(x=mapped[:, 0], y=mapped[:, 1])
    folder.table("embedding", table, "Faces in two dimensions")
    shares = neighbour_shares(features, table["label"].tolist())
    alike = float(np.average(list(shares.values()), weights=[(table["label"] == name).sum() for name in shares]))
    figures = EmbeddingFigures(faces=len(table), features=features.shape[1], alike=alike, alike_by_class=shares)
    notes = [
        f"{len(table):,} of {len(faces.table):,} faces, by {how} of {features.shape[1]} features. Faces near each "
        "other are alike to the network; how far apart groups lie, and how large they are, means nothing.",
    ]
    listed = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    description = (
        f"A point for each of {len(table):,} faces, coloured by its given class, outlined where another one is "
        f"predicted. In all features, {alike:.1%} of the faces have a face of their own class nearest: {listed}."
    )
    title = f"Embedding: {faces.dataset.name}, {len(table):,} faces"
    chart = draw_embedding(table, faces.classes, title, description)
    chart.save(folder.picture("embedding", "Embedding", description))
    folder.add("embedding", figures, notes)
