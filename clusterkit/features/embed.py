"""From pictures to vectors: each item of a set is replaced by the features that fixed backbones make of it."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clusterkit import console
from clusterkit.artifacts.files import sha256
from clusterkit.config import CHARACTERS_BACKBONE, PHOTOS, Context, Kind, Precision
from clusterkit.datasets.base import Dataset
from clusterkit.datasets.decode import picture, quiet
from clusterkit.datasets.stream import Stream
from clusterkit.device import choose_device, describe, kept_memory, multiplying, one_thread_each, send
from clusterkit.distributed import gather_rows, is_first, rank, size, sum_all
from clusterkit.errors import InputError
from clusterkit.features.models import Model
from clusterkit.features.store import MOST_MAPS, Store

PART = 256
"""Pictures after which their features are kept on disk."""
SECONDS = 30.0
"""The same in seconds, for slow models."""
BATCH = {"cpu": 8}
"""Pictures in a batch, by kind of device."""
USUAL_BATCH = 64
READERS = 8
"""The most pictures that are decoded at the same time."""
AHEAD = 4
"""Batches that are decoded while the network computes one."""
LONGEST = 16
"""Of a picture that is more times as long as wide, only the middle is read."""

Source = Path | Tensor
"""A picture: its file, or its pixels uint8 (C, H, W)."""


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A set of vectors, and what is odd about them.

    Of its pictures, `new` were embedded now, the features of `kept` were on disk, and `copies` equal another one.
    """

    data: Dataset
    new: int
    kept: int
    copies: int
    warnings: tuple[str, ...]

    @property
    def count(self) -> str:
        """Return where the features are from, as a message."""
        copies = "" if not self.copies else ", 1 a copy" if self.copies == 1 else f", {self.copies} copies"
        return f"embed: {len(self.data)} items of {self.data.name}: {self.new} new, {self.kept} kept{copies}"


def embedded(data: Dataset, models: Sequence[Model], context: Context) -> Dataset:
    """Return a set of images with the features (N, D) float32 by fixed backbones in place of the images.

    The features of several models are concatenated, each scaled to length one. Features that were kept on disk are
    read from there. With several processes each embeds a part, and all return the same, so all must call this.

    Raises InputError for a set of vectors, for an unreadable picture, and for features that are no finite numbers.
    """
    result = embed(data, models, context)
    if result.new:
        console.once(result.count)
    for warning in result.warnings:
        console.log.warning("%s", warning, extra={"once": True})
    return result.data


def embed(data: Dataset, models: Sequence[Model], context: Context) -> Embedded:
    """Do what `embedded` does, and return also what happened."""
    if data.kind is Kind.VECTORS:
        raise InputError(f"{data.title} holds vectors, but a fixed backbone reads pictures; name a set of pictures")
    sources = [source for subset in sources_of(data) for source in subset]
    with quiet(), ThreadPoolExecutor(READERS) as pool:
        keys = list(pool.map(key_of, sources))
    first: dict[bytes, int] = {}
    for position, key in enumerate(keys):
        first.setdefault(key, position)
    titles = [subset.title(position) for subset in data.subsets for position in range(len(subset))]
    pictures = Pictures(keys, sources, titles).take(list(first.values()))
    parts, new = [], torch.zeros(len(first), dtype=torch.bool)
    for model in models:
        rows, missing = by_model(pictures, model, context)
        parts.append(unit(rows) if len(models) > 1 else rows)
        new |= missing
    numbers = {key: number for number, key in enumerate(first)}
    rows = torch.cat(parts, 1)[[numbers[key] for key in keys]]
    subsets = tuple(
        replace(subset, images=part)
        for subset, part in zip(data.subsets, rows.split([len(subset) for subset in data.subsets]), strict=True)
    )
    features = tuple(model.to_header() for model in models)
    vectors = replace(data, kind=Kind.VECTORS, subsets=subsets, features=features)
    return Embedded(
        data=vectors,
        new=int(new.sum()),
        kept=int((~new).sum()),
        copies=len(keys) - len(first),
        warnings=(*foreign(data, [model.name for model in models], context), *oddities(vectors, rows, titles)),
    )


@dataclass(frozen=True)
class Pictures:
    """Distinct pictures: the key of each by its content, where it is, and its name in messages."""

    keys: list[bytes]
    sources: list[Source]
    titles: list[str]

    def take(self, positions: Sequence[int]) -> "Pictures":
        return Pictures(*([values[i] for i in positions] for values in (self.keys, self.sources, self.titles)))  # type: ignore[arg-type]


def sources_of(data: Dataset) -> Iterator[Sequence[Source]]:
    """Yield the pictures of each subset: its files if it has any, and otherwise its pixels as its source has them."""
    for subset in data.subsets:
        if subset.files is not None:
            yield subset.files
        elif isinstance(subset.images, Stream):
            yield subset.images.paths
        else:
            yield list(~subset.images if data.inverted else subset.images)


def key_of(source: Source) -> bytes:
    """Return the sha256 of a picture: of the bytes of its file, or of its pixels and their shape."""
    if isinstance(source, Path):
        return bytes.fromhex(sha256(source))
    return hashlib.sha256(f"{tuple(source.shape)}".encode() + source.contiguous().numpy().tobytes()).digest()


def by_model(pictures: Pictures, model: Model, context: Context) -> tuple[Tensor, Tensor]:
    """Return the features (M, D) of distinct pictures by one model, and which (M,) were not kept on disk."""
    device = choose_device(context.device)
    maps = 4 * model.width * len(pictures.keys) if model.blocks else 0
    store = Store(model, describe(device), keeps=maps <= MOST_MAPS)
    # The first process decides what is missing, as the others may have another disk.
    known = store.read(pictures.keys) if is_first() else {}
    # A command whose features are all kept does not wait for another one that embeds.
    waits = is_first() and store.keeps and len(known) < len(pictures.keys)
    with store.held() if waits else nullcontext():
        if waits:
            known |= store.read([key for key in pictures.keys if key not in known])
        missing = torch.tensor([is_first() and key not in known for key in pictures.keys], dtype=torch.bool)
        missing = sum_all(missing.int()).bool()
        kept = np.array([known[key] for key in pictures.keys if key in known], np.float32)
        rows = torch.empty(len(missing), model.width)
        rows[~missing] = gather_rows(torch.from_numpy(kept.reshape(-1, model.width)))
        positions = missing.nonzero()[:, 0].tolist()
        own = positions[rank() * len(positions) // size() : (rank() + 1) * len(positions) // size()]
        if positions and not store.keeps and maps:
            text = "embed: maps of %s are not kept on disk, so every command computes them again"
            console.once(text, console.size(maps))
        if positions:
            rows[missing] = gather_rows(computed(pictures.take(own), model, device, store))
    return rows, missing


def computed(pictures: Pictures, model: Model, device: torch.device, store: Store) -> Tensor:
    """Return the features (M, D) of pictures, float32 on the CPU, and keep them in the store on the way.

    Raises InputError for an unreadable picture, or for features that are no finite numbers.
    """
    count = len(pictures.keys)
    rows = torch.empty(count, model.width)
    if not count:
        return rows
    network = model.build().to(device).to(memory_format=torch.channels_last)
    done = kept = 0
    started = kept_at = time.monotonic()

    def keep() -> None:
        nonlocal kept, kept_at
        store.write(pictures.keys[kept:done], rows[kept:done].numpy())
        kept, kept_at = done, time.monotonic()

    stream = batches(pictures, model, BATCH.get(device.type, USUAL_BATCH))
    results = in_order(network, stream, device)
    with console.progress("embed", count) as advance, closing(stream), closing(results), kept_memory():
        try:
            for result in results:
                features = result[: count - done]
                check_finite(features, model, pictures.titles[done:])
                rows[done : done + len(features)] = features
                done += len(features)
                for _ in range(len(features)):
                    advance()
                is_slow = time.monotonic() - kept_at > SECONDS
                if done - kept >= PART or is_slow:
                    keep()
                if is_slow and done < count:
                    left = console.duration((time.monotonic() - started) * (count - done) / done)
                    console.log.info("embed: %d of %d pictures by %s, %s left", done, count, model.name, left)
        finally:
            keep()
    return rows


def in_order(
    network: Callable[[Tensor], Tensor], stream: Iterator[Tensor], device: torch.device
) -> Generator[Tensor, None, None]:
    """Yield the features (B, D) of each batch of a stream.

    On a CPU one thread computes a batch, and several batches are computed side by side: how a sum is rounded depends on
    the number of threads that share it, and features must not.
    """
    with multiplying(Precision.FP32):
        if device.type != "cpu":
            yield from (forward(network, batch, device) for batch in stream)
            return
        with one_thread_each() as threads, ThreadPoolExecutor(threads) as pool:
            running: deque[Future[Tensor]] = deque()
            for batch in stream:
                running.append(pool.submit(forward, network, batch, device))
                if len(running) > threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()


def forward(network: Callable[[Tensor], Tensor], batch: Tensor, device: torch.device) -> Tensor:
    """Return the features (B, D) of prepared pictures uint8 (B, 3, S, S), float32 on the CPU."""
    with torch.inference_mode():
        features: Tensor = network(send(batch, device))
        return features.float().cpu()


def batches(pictures: Pictures, model: Model, count: int) -> Generator[Tensor, None, None]:
    """Yield prepared pictures uint8 (B, 3, S, S), which are decoded while the network computes.

    All batches have one size, the last one with black pictures at its end, so that the features of a picture do not
    depend on how many others are embedded with it.
    """
    ahead: deque[Future[Tensor]] = deque()
    waiting = iter(zip(pictures.sources, pictures.keys, strict=True))
    with quiet():
        pool = ThreadPoolExecutor(READERS)
        try:
            for _ in range(0, len(pictures.keys), count):
                for source, key in islice(waiting, AHEAD * count - len(ahead)):
                    ahead.append(pool.submit(prepared, source, key, model))
                present = [ahead.popleft().result() for _ in range(min(count, len(ahead)))]
                # Decoders and networks have the channels of a pixel side by side, so this only copies bytes.
                shape = count, *present[0].shape
                batch = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last).zero_()
                for row, pixels in zip(batch, present, strict=False):
                    row.copy_(pixels)
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)


def prepared(source: Source, key: bytes, model: Model) -> Tensor:
    """Return a picture as the model takes it, uint8 (3, S, S).

    Raises InputError if its file is unreadable, or has another content than the one of the key.
    """
    if isinstance(source, Path):
        image = picture(source, round(model.size / model.crop))
        if key_of(source) != key:
            raise InputError(f"{source}: changed while it was read; run the command again")
    else:
        image = Image.fromarray(source.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy())
    pixels: Tensor = model.prepare(middle(image))
    return pixels


def middle(image: Image.Image) -> Image.Image:
    """Return the middle of a picture that is too long to be scaled to the size of a model."""
    width, height = image.size
    most = LONGEST * min(image.size)
    if max(image.size) <= most:
        return image
    left, top = (max(0, side - most) // 2 for side in image.size)
    return image.crop((left, top, left + min(width, most), top + min(height, most)))


def check_finite(features: Tensor, model: Model, titles: Sequence[str]) -> None:
    """Raise InputError for features (B, D) that are no finite numbers."""
    bad = (~features.isfinite().all(1)).nonzero()[:, 0].tolist()
    if bad:
        raise InputError(
            f"{model.file}: the weights of {model.name} give features of {titles[bad[0]]} that are no finite numbers; "
            "use other weights or another backbone"
        )


def unit(rows: Tensor) -> Tensor:
    """Return rows (N, D) scaled to length one; a row of zeros stays as it is."""
    lengths = rows.double().norm(dim=1, keepdim=True)
    scaled: Tensor = rows / lengths.where(lengths > 0, 1)
    return scaled.float()


def foreign(data: Dataset, backbones: Collection[str], context: Context) -> Iterator[str]:
    """Yield a warning if the program's backbone for characters, which reads no colours, reads photos in colour.

    If `--like` named them and no backbone was typed, the advice is to name others.
    """
    if not (data.kind is Kind.PHOTOS and data.shape[0] > 1 and str(CHARACTERS_BACKBONE) in backbones):
        return
    if "like" in context.given and "backbone" not in context.given:
        yield (
            f"--like {data.name}: holds photos in colour, but the grey pictures to sort are compared by "
            f"{CHARACTERS_BACKBONE}, which learned from characters and reads no colours; name grey pictures, or leave "
            "it out"
        )
    else:
        yield (
            f"--backbone {CHARACTERS_BACKBONE}: learned from characters and reads no colours, but {data.title} holds "
            f"photos in colour; use another one, such as {PHOTOS}"
        )


def oddities(data: Dataset, rows: Tensor, titles: Sequence[str]) -> Iterator[str]:
    """Yield warnings of features (N, D) that tell no items apart."""
    zero = (rows == 0).all(1).nonzero()[:, 0].tolist()
    if zero:
        yield (
            f"{data.name}: all features of {len(zero)} pictures, such as {titles[zero[0]]}, are zero, so nothing tells "
            "these apart; use another backbone or other weights"
        )
    elif len(rows) > 1 and bool((rows == rows[0]).all()):
        yield f"{data.name}: all pictures have the same features; use another backbone or other weights"
