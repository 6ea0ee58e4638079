"""Batches of an epoch, resumable at any of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from fer_core.boundary import describe
from fer_core.data.packs.device import images_on
from fer_core.data.random import SampleRandom, derive_seed
from fer_core.data.samplers import Sampler
from fer_core.data.transforms import Pipeline
from fer_core.data.transforms.pipeline import as_picture
from fer_core.errors import FerError
from fer_core.makers import culprit
from fer_core.returned import check_order
from fer_core.types import TARGET, Pack

if TYPE_CHECKING:
    from fer_core.engine import Device
    from fer_core.types import Batch

    Positions = NDArray[np.int64]
    Streams = NDArray[np.int64]

_workers: WeakSet[BaseProcess] = WeakSet()
"""Worker processes of all loaders."""
AHEAD = 2
"""Batches prepared while one is in use."""
KILLED = "DataLoader worker (pid"
"""Start of torch's message for a lost worker process; errors raised inside a worker start differently."""


@contextmanager
def killed_workers_told(way_on: Callable[[], str] = str) -> Iterator[None]:
    """Report a killed worker process in one line; torch's signal handler raises its error at any point.

    Args:
        way_on: Gives what to do after the advice, such as how to resume.

    Raises:
        FerError: In the place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        if KILLED not in str(error):
            raise
        if hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
            # torch's handler would raise again for every other worker that ends.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        raise FerError(
            "a worker process that reads images was killed, most likely for lack of memory: use fewer with "
            f"data.workers, or data.pipeline=batched{way_on()}"
        ) from error


class Loader:
    """Batches of some rows of a dataset.

    The order comes from the sampler's (seed, epoch), the randomness of a sample from (seed, epoch, row): batch k
    of an epoch is the same however it was reached, in both modes, and with any number of workers. A row that a
    sampler repeats within an epoch is changed differently each time.

    Args:
        pack: Images by row.
        rows: Rows of the dataset's table to load, [n].
        labels: Class index of every row of the table, [len(pack)].
        pipeline: What makes the model's input of them: where its `preprocessing.pipeline` is `batched` of whole
            batches on `device`, where it is `per-image` of PIL images in worker processes.
        batch_size: Images in a batch.
        sampler: Order of a training epoch, as positions in `rows`; a remainder too small for two images in each
            part joins the previous batch. None: evaluation, every row once and in order.
        drop_last: Leave out the remainder of a training epoch instead.
        draw_labels: Draw the label of a training sample from its votes, anew at every visit.
        seed: Of the run.
        workers: Processes of the `per-image` mode; 0 works in this process, `auto` takes one less than the CPUs.
        device: Where batches are delivered.
        votes: Annotators' votes for every row of the table, [len(pack), K]; delivered as distributions that sum
            to 1.
        targets: Extra targets of every row of the table by name, [len(pack), ...]; delivered as `target_NAME`.
        soft_targets: Probabilities for every row of the table, [len(pack), K]; delivered as `soft_target`.
        process: Number of this process and how many share the work. A training batch is cut into equal parts, an
            evaluation dealt out row by row; no image is taken twice or left out.
        parts: Parts in which a process computes its share of a training batch.

    Attributes:
        rows: As given.
        together: Batches that are prepared at once.

    Raises:
        FerError: One of `rows` has no votes at all, or `drop_last` would leave no batch.
        ValueError: `labels` or `votes` do not belong to the pack, or `draw_labels` lacks votes.
    """

    def __init__(
        self,
        pack: Pack,
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        *,
        pipeline: Pipeline,
        batch_size: int,
        sampler: Sampler | None,
        seed: int,
        workers: int | Literal["auto"],
        device: Device,
        votes: NDArray[np.floating] | None = None,
        targets: Mapping[str, NDArray[Any]] | None = None,
        soft_targets: NDArray[np.float32] | None = None,
        drop_last: bool = False,
        draw_labels: bool = False,
        process: tuple[int, int] = (0, 1),
        parts: int = 1,
    ) -> None:
        if len(labels) != len(pack) or (votes is not None and len(votes) != len(pack)):
            raise ValueError(f"{len(pack)} images, but {len(labels)} labels or another number of votes")
        if draw_labels and votes is None:
            raise ValueError("labels cannot be drawn without votes")
        self._draw_labels = draw_labels and sampler is not None
        self._pack, self._pipeline, self._sampler = pack, pipeline, sampler
        self._process, self._parts = process, parts * process[1]
        rows = np.asarray(rows, dtype=np.int64)
        own = slice(None) if sampler is not None else slice(process[0], None, process[1])
        self.rows, self._rows = rows, rows[own]
        self._columns = {"index": torch.arange(len(rows))[own]}
        self._labels = torch.from_numpy(np.array(labels, dtype=np.int64)[self._rows])
        if votes is not None:
            self._columns["distribution"] = normalise_votes(votes[self._rows], self._rows)
        for name, values in (targets or {}).items():
            self._columns[TARGET + name] = torch.from_numpy(values[self._rows])
        if soft_targets is not None:
            self._columns["soft_target"] = torch.from_numpy(soft_targets[self._rows])
        self._batch_size, self._seed, self._device = batch_size, seed, device
        self.together = 1 if device.on_host else pipeline.together
        self._workers = max((os.cpu_count() or 1) - 1, 1) if workers == "auto" else workers
        count = len(self._rows)
        self._per_epoch = count if sampler is None else len(check_order(sampler, sampler.order(0), count))
        self._drop_last = drop_last and sampler is not None
        if self._drop_last and self._per_epoch < batch_size:
            raise FerError(
                f"data.drop_last leaves no batch: an epoch has {self._per_epoch} training samples, fewer than "
                f"data.batch_size ({batch_size}); lower data.batch_size or set data.drop_last=false"
            )
        self._plan: list[list[tuple[int, int, int]]] = []  # (row, stream, epoch) of each image of the next batches
        self._processes: DataLoader[Tensor | FerError] | None = None

    def __len__(self) -> int:
        """Batches of an epoch."""
        count, rest = divmod(self._per_epoch, self._batch_size)
        joins = self._sampler is not None and rest < 2 * self._parts and count > 0
        return count + (rest > 0 and not joins and not self._drop_last)

    def whole(self, batch: int) -> bool:
        """Whether a batch of an epoch has as many images as most; the last may have more or fewer."""
        rest = self._per_epoch % self._batch_size
        return self._drop_last or rest == 0 or not 0 < batch == len(self) - 1

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Batches `start`, `start` + 1... of an epoch.

        Yields:
            `image` float32 [N, 3, H, W], `label` int64 [N], `index` int64 [N] (the sample's place in `rows`),
            given votes `distribution` float32 [N, K], and the extra targets, all on the device. Where the pipeline
            makes V views, an evaluation's images are [N, V, 3, H, W], while in training every view is a sample.
        """
        order = np.arange(len(self._rows))
        if self._sampler is not None:
            order = check_order(self._sampler, self._sampler.order(epoch), len(order), self._per_epoch)
        if self._drop_last:
            order = order[: len(self) * self._batch_size]
        streams = _streams(self._rows[order])
        cuts = [min(i * self._batch_size, len(order)) for i in range(start, len(self))] + [len(order)]
        spans = [self._share(*pair) for pair in pairwise(cuts)]
        if self._pipeline.preprocessing.pipeline == "batched":
            yield from self._batched(epoch, [(order[span], streams[span]) for span in spans])
        else:
            yield from self._per_image(epoch, [(order[span], streams[span]) for span in spans])

    def _share(self, first: int, end: int) -> slice:
        """This process's part of a training batch that reaches from `first` to `end`; all of another."""
        rank, count = self._process
        if self._sampler is None or count == 1:
            return slice(first, end)
        each, larger = divmod(end - first, self._parts)
        begins = [first + each * part + min(part, larger) for part in range(self._parts + 1)]
        own = self._parts // count
        return slice(begins[rank * own], begins[(rank + 1) * own])

    def _batched(self, epoch: int, batches: list[tuple[Positions, Streams]]) -> Iterator[Batch]:
        """One thread prepares the next batches while an accelerator uses this one.

        On a CPU both would compete for the same cores.
        """
        device = self._device
        if device.on_host:
            yield from (self._transform(epoch, positions, streams) for positions, streams in batches)
            return
        queue = device.stream()
        groups = [batches[first : first + self.together] for first in range(0, len(batches), self.together)]

        def prepare(group: list[tuple[Positions, Streams]]) -> tuple[list[Batch], Any]:
            positions, streams = (np.concatenate(parts) for parts in zip(*group, strict=True))
            lengths = [len(part) for part, _ in group]
            with device.within(queue):
                return _split(self._transform(epoch, positions, streams), lengths), device.event()

        def received(prepared: Future[tuple[list[Batch], Any]]) -> list[Batch]:
            made, event = prepared.result()
            device.wait(event, [column for batch in made for column in batch.values()])
            return made

        pending: deque[Future[tuple[list[Batch], Any]]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="fer-loader") as thread:
            try:
                for group in groups:
                    pending.append(thread.submit(prepare, group))
                    if len(pending) > AHEAD // self.together:
                        yield from received(pending.popleft())
                while pending:
                    yield from received(pending.popleft())
            finally:
                for prepared in pending:
                    prepared.cancel()

    @torch.no_grad()
    def _transform(self, epoch: int, positions: Positions, streams: Streams) -> Batch:
        images = images_on(self._device, self._pack, self._rows[positions])
        random, labels = SampleRandom(self._seed, epoch, streams), self._draw(epoch, positions, streams)
        return self._batch(self._pipeline.batch(images, random, self._device.place_all), positions, labels)

    def _per_image(self, epoch: int, batches: list[tuple[Positions, Streams]]) -> Iterator[Batch]:
        """Worker processes as the papers' code uses them; they persist between epochs."""
        self._plan[:] = [
            [(int(row), int(stream), epoch) for row, stream in zip(self._rows[positions], streams, strict=True)]
            for positions, streams in batches
        ]
        if self._processes is None:
            dataset = _Images(self._pack, self._pipeline, self._seed)
            # A generator of its own: DataLoader would otherwise draw from the global one, and change the run.
            self._processes = DataLoader(
                dataset,
                batch_sampler=self._plan,
                num_workers=self._workers,
                persistent_workers=self._workers > 0,
                collate_fn=_collate,
                worker_init_fn=_outlast_signals,
                generator=torch.Generator().manual_seed(0),
            )
        for (positions, streams), images in zip(batches, self._received(self._processes), strict=True):
            yield self._batch(self._device.place(images), positions, self._draw(epoch, positions, streams))

    @staticmethod
    def _received(processes: Iterable[Tensor | FerError]) -> Iterator[Tensor]:
        """What the worker processes hand over; a worker killed mid-transfer raises torch's usual error."""
        others = multiprocessing.active_children()
        batches = iter(processes)
        _workers.update(set(multiprocessing.active_children()).difference(others))
        try:
            for images in batches:
                if isinstance(images, FerError):
                    raise images
                yield images
        except (ConnectionError, EOFError) as error:
            raise RuntimeError(f"{KILLED} unknown) was killed while it handed images over") from error

    def close(self) -> None:
        """Stop the worker processes; the next epoch would start new ones."""
        self._processes = None

    def _draw(self, epoch: int, positions: Positions, streams: Streams) -> Tensor:
        """Labels of a batch, int64 [n]: those of the table, or drawn from the votes."""
        if not self._draw_labels:
            return self._labels[positions]
        return draw_labels(self._columns["distribution"][positions], self._seed, epoch, streams)

    def _batch(self, images: Tensor, positions: Positions, labels: Tensor) -> Batch:
        if self._sampler is not None and images.dim() == 5:
            views = images.shape[1]
            positions, labels = np.repeat(positions, views), labels.repeat_interleave(views)
            images = images.flatten(0, 1)
        columns = {"label": labels, **{name: column[positions] for name, column in self._columns.items()}}
        return {"image": images, **dict(zip(columns, self._device.place_all(list(columns.values())), strict=True))}


def _split(batch: Batch, lengths: list[int]) -> list[Batch]:
    """Batches that were made as one, of these numbers of samples; a sample may be several images."""
    images = len(batch["image"]) // sum(lengths)
    columns = (torch.split(column, [images * length for length in lengths]) for column in batch.values())
    return [dict(zip(batch, parts, strict=True)) for parts in zip(*columns, strict=True)]


class _Images(Dataset["Tensor | FerError"]):
    """One transformed image, float32 [3, H, W].

    A FerError is returned in its place: torch would put a worker's traceback into the message that it raises.
    """

    def __init__(self, pack: Pack, pipeline: Pipeline, seed: int) -> None:
        self._pack, self._pipeline, self._seed = pack, pipeline, seed

    def __getitem__(self, item: tuple[int, int, int]) -> Tensor | FerError:
        row, stream, epoch = item
        try:
            pixels = self._pack.images(np.array([row]))[0]
        except FerError as error:
            return error
        try:
            return self._pipeline.image(as_picture(pixels), SampleRandom(self._seed, epoch, np.array([stream])))
        except FerError as error:
            return error
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or (maker := culprit(error)) is None:
                raise
            return FerError(f"{maker} raised {describe(error)}: {maker.advice}, or see where with data.workers=0")


def _collate(images: list[Tensor | FerError]) -> Tensor | FerError:
    """A batch, or the first error among its images."""
    error = next((image for image in images if isinstance(image, FerError)), None)
    return error or default_collate(images)


def _outlast_signals(worker: int) -> None:
    """Ctrl-C and a scheduler's SIGTERM reach workers, too, while their training still has to save."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _end_workers() -> None:
    """At exit: multiprocessing would send SIGTERM, which workers ignore, and wait for them forever."""
    if hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler raises for every worker that ends
    for worker in list(_workers):
        if worker.is_alive():
            worker.kill()


Finalize(None, _end_workers, exitpriority=100)


def _streams(rows: NDArray[np.int64]) -> Streams:
    """Number of the random stream of each draw: the row, apart for a row that was drawn before in this epoch."""
    by_row = np.argsort(rows, kind="stable")
    ordered = rows[by_row]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(rows)]
    position = np.arange(len(rows))
    repeats = position - np.maximum.accumulate(np.where(first, position, 0))
    streams = np.empty_like(rows)
    streams[by_row] = ordered + (repeats << 40)
    return streams


def draw_labels(distributions: Tensor, seed: int, epoch: int, streams: Streams) -> Tensor:
    """Labels of a visit drawn from votes, int64 [n].

    Args:
        distributions: Shares of the votes, [n, K].
        seed: Of the loader.
        epoch: 0-based.
        streams: Number of each sample's random stream, [n].
    """
    shares = distributions.double().cumsum(1)
    # Random numbers of their own: what is drawn for the images stays the same.
    numbers = SampleRandom(derive_seed(seed, 1), epoch, streams).uniform().double()
    return (shares <= numbers * shares[:, -1:]).sum(1)


def normalise_votes(votes: NDArray[np.floating], rows: NDArray[np.int64]) -> Tensor:
    """Votes as distributions that sum to 1, float32 [n, K]; `rows` names the samples in messages."""
    counts = np.asarray(votes, dtype=np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    bad = np.flatnonzero(~(totals[:, 0] > 0))
    if len(bad):
        raise FerError(
            f"{len(bad)} samples have no votes for any class, first row {rows[bad[0]]} of the table; "
            f"leave them out where the dataset builds its table"
        )
    return torch.from_numpy((counts / totals).astype(np.float32))
