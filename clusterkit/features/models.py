"""Fixed backbones: models of timm and torchvision, and one of the program, that turn pictures into features.

They are not trained.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from clusterkit import console
from clusterkit.artifacts.files import sha256
from clusterkit.config import Context
from clusterkit.distributed import first_alone, is_first
from clusterkit.errors import InputError, UsageError, is_out_of_memory
from clusterkit.features import own_models, timm_models, torchvision_models
from clusterkit.features.card import Card, quiet
from clusterkit.features.prepare import Preprocessing, Standardised
from clusterkit.features.tails import SEVERAL, split
from clusterkit.features.weights import PUT, at_hand, download, first_line, misfit, missing, read_state
from clusterkit.reading import WEIGHTS
from clusterkit.settings import MOST_SIZE, Fixed

PREPROCESSING = tuple(Preprocessing.__dataclass_fields__)
NON_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial|research|SWAG/|seer-license|apple-amlr", re.IGNORECASE)
"""Licences of weights that may not be used commercially."""


@dataclass(frozen=True, kw_only=True)
class Model(Preprocessing):
    """A fixed backbone whose weights are at hand.

    `name` is `timm:NAME`, `torchvision:NAME` or `clusterkit:characters`, `width` the number of features D, and `given`
    says that the user named the file of weights. `learned_from` are the `dataset` objects of the sets whose labels the
    weights learned, as far as they are sets of the program. Without its last `blocks` blocks, its features are what
    these read: a `map` (C, H, W), (H, W, C) or (T, C), as one row.
    """

    name: str
    file: Path
    sha256: str
    licence: str
    width: int
    given: bool = False
    learned_from: tuple[dict[str, Any], ...] = ()
    blocks: int = 0
    map: tuple[int, ...] = ()

    def to_header(self) -> dict[str, Any]:
        """Return what headers record: all but the file, unless the user named it."""
        fields = {key: value for key, value in asdict(self).items() if key not in ("file", "given", "learned_from")}
        fields |= {"mean": list(self.mean), "std": list(self.std), "map": list(self.map)}
        fields |= {"learned_from": list(self.learned_from)} if self.learned_from else {}
        if not self.blocks:
            del fields["blocks"], fields["map"]
        return {**fields, "weights": f"{WEIGHTS}:{self.file.as_posix()}"} if self.given else fields

    def build(self) -> nn.Module:
        """Return the network, from pictures uint8 (B, 3, size, size) to pooled features (B, width), for evaluation.

        Raises InputError if the file does not hold the weights of this model.
        """
        network = self._whole()
        if self.blocks:
            network = nn.Sequential(split(network, self.blocks)[0], nn.Flatten())
        return _ready(network, self)

    def tail(self) -> nn.Module:
        """Return the last blocks and what follows them, from maps (B, *map) to pooled features (B, D)."""
        return split(self._whole(), self.blocks)[1]

    def without_last(self, blocks: int) -> "Model":
        """Return this backbone without its last blocks. Raises UsageError if it cannot be cut there."""
        try:
            front, _ = split(self._whole(), blocks)
            maps = _features(_ready(front, self), self.size)
            if not isinstance(maps, Tensor):
                raise ValueError(SEVERAL)
        except ValueError as error:
            raise UsageError(f"--fine-tune {blocks}: {self.name} {error}") from error
        shape = tuple(maps.shape[1:])
        return replace(self, blocks=blocks, map=shape, width=math.prod(shape))

    def _whole(self) -> nn.Module:
        return _loaded(self.name, _library(self.name).card(_own_name(self.name), self.size), self.file)


def find_models(fixed: Fixed, weights: Sequence[Path], context: Context, size: int | None = None) -> tuple[Model, ...]:
    """Return fixed backbones with their weights, which are checked.

    `weights` are the user's files, one for each name; without any, the weights are looked for in the folder `weights`
    of the data root and in the cache of their library, and then downloaded. `size` replaces the models' own size of
    pictures. Raises UsageError for an unknown model, one without pooled features, a size that it does not take, or
    another number of files than of names; and InputError for weights that are missing, damaged or of another model.
    """
    if weights and len(weights) != len(fixed.names):
        raise UsageError(
            f"--weights: files given: {len(weights)}, backbones: {len(fixed.names)}; give one file for each, in order"
        )
    own = [name for name in fixed.names if name.startswith("clusterkit:")]
    if weights and own:
        raise UsageError(f"--weights: {own[0]} has weights of its own; leave it out")
    if size is not None and size > MOST_SIZE:
        raise UsageError(f"--size {size}: a fixed backbone reads up to {MOST_SIZE} pixels; give a smaller number")
    files: Sequence[Path | None] = weights or [None] * len(fixed.names)
    return tuple(_find(name, file, context, size) for name, file in zip(fixed.names, files, strict=True))


def recorded_models(entries: Sequence[Mapping[str, Any]], context: Context) -> tuple[Model, ...]:
    """Return the models in the list `features` of a header's data set, with the same weights.

    Raises InputError if the weights are missing, or if the only file has other content.
    """
    return tuple(_recorded(entry, context) for entry in entries)


def _find(name: str, given: Path | None, context: Context, size: int | None) -> Model:
    card = _library(name).card(_own_name(name), size)
    file = given
    if file is None:
        with first_alone():
            file = next(iter(_by_name(name, card, context)))
    try:
        network = _loaded(name, card, file)
        if size is not None:
            _check_patches(name, network, size)
        width = _width(name, _ready(network, card), card.size)
    except _UnfitError as error:
        flag = f"--backbone {name}:" if size is None else f"--size {size}: {name}"
        advice = "choose another model" if size is None else "leave out --size"
        text = f"{flag} does not take pictures of {card.size}x{card.size} ({error}); {advice}"
        raise UsageError(text) from error
    if width is None:
        raise InputError(f"{file}: its weights give features that are no finite numbers; download it again")
    if is_first() and NON_COMMERCIAL.search(card.licence):
        text = "%s: its weights may not be used commercially (licence: %s)"
        console.log.warning(text, name, card.licence, extra={"once": True})
    preprocessing = {key: getattr(card, key) for key in PREPROCESSING}
    return Model(
        name=name,
        file=file,
        sha256=sha256(file),
        licence=card.licence,
        width=width,
        given=given is not None,
        learned_from=card.learned_from,
        **preprocessing,
    )


def _by_name(name: str, card: Card, context: Context) -> list[Path]:
    """Return the files of a model's weights, the first one found first; if there is none, download one."""
    files = at_hand(card, context.data)
    if not files and context.offline:
        raise missing(name, card, context.data, "--offline is set", f"run once without --offline, {PUT}")
    return files or [download(name, card, context.data)]


def _recorded(entry: Mapping[str, Any], context: Context) -> Model:
    name, digest = entry["name"], entry["sha256"]
    text = entry.get("weights")
    given = Path(text.removeprefix(f"{WEIGHTS}:")) if text else None
    files = [given] if given is not None and given.is_file() else []
    file = _with_digest(files, digest)
    if file is None:
        card = _card(name, entry["size"])
        with first_alone():
            # What the user gave cannot be downloaded.
            named = at_hand(card, context.data) if given is not None else _by_name(name, card, context)
        if not (files or named):
            advice = "put the file that was used at one of these places"
            raise missing(name, card, context.data, f"{given} is gone", advice)
        file, files = _with_digest(named, digest), [*files, *named]
    if file is None:
        raise InputError(
            f"{files[0]}: not the weights of {name} that were used (sha256 {sha256(files[0])[:12]}, not "
            f"{digest[:12]}); put the file that was used in its place, or into {context.data / 'weights'}"
        )
    fields = {key: value for key, value in entry.items() if key in Model.__dataclass_fields__}
    fields |= {name: tuple(entry.get(name, ())) for name in ("mean", "std", "learned_from", "map")}
    return Model(file=file, given=file == given, **fields)


def untrained_tail(name: str, size: int, blocks: int) -> nn.Module:
    """Return the last blocks of a fixed backbone as `Model.tail` does, with random weights.

    Raises InputError for a model that the installed library does not have, and ValueError for other blocks than it has.
    """
    card = _card(name, size)
    with quiet(), torch.random.fork_rng(devices=[]):
        return split(_library(name).plain(card), blocks)[1]


def _card(name: str, size: int) -> Card:
    """Return what a library says of a model that a header names."""
    try:
        card: Card = _library(name).card(_own_name(name), size)
    except UsageError as error:
        library = name.partition(":")[0]
        raise InputError(
            f"{name}: made these features, but the {library} that is installed does not have it; install the "
            "version that has"
        ) from error
    return card


def _with_digest(files: Sequence[Path], digest: str) -> Path | None:
    return next((file for file in files if sha256(file) == digest), None)


class _UnfitError(Exception):
    """A model that cannot be built for a size, or that does not take pictures of this size."""


def _loaded(name: str, card: Card, file: Path) -> nn.Module:
    """Build a model and load its weights strictly, without a draw from the random numbers of the program."""
    network: nn.Module
    library = _library(name)
    state = read_state(file)
    with quiet(), torch.random.fork_rng(devices=[]):
        try:
            network, lacking, foreign = library.loaded(card, state)
        except UsageError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            # The libraries check a state in many ways. If the model itself is the cause, it fails without a state too.
            _check_plain(library, card)
            raise _foreign(file, name, misfit(error)) from error
    if lacking or foreign:
        kinds = [f"{kind} {', '.join(keys[:3])}" for kind, keys in (("without", lacking), ("with", foreign)) if keys]
        raise _foreign(file, name, " and ".join(kinds))
    return network


def _foreign(file: Path, name: str, reason: str) -> InputError:
    return InputError(
        f"{file}: no weights of {name} ({reason}); name another file, or the model of this one with --backbone"
    )


def _check_plain(library: ModuleType, card: Card) -> None:
    try:
        network = library.plain(card)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise _UnfitError(first_line(error)) from error
    _features(_ready(network, card), card.size)


def _check_patches(name: str, network: nn.Module, size: int) -> None:
    """Raise UsageError for a size at which a model leaves pixels at the edges out, unless it is the model's own."""
    side = _library(name).patch_side(network)
    if size % side and size != _library(name).card(_own_name(name), None).size:
        nearest = max(1, round(size / side)) * side
        raise UsageError(
            f"--size {size}: {name} reads squares of {side} x {side} pixels, and would leave out the edges; give "
            f"{nearest}, or another multiple of {side}"
        )


def _ready(network: nn.Module, preprocessing: Preprocessing) -> nn.Module:
    return Standardised(network, preprocessing.mean, preprocessing.std).eval().requires_grad_(False)


def _features(network: nn.Module, size: int) -> Any:
    """Return what a network makes of a grey picture."""
    try:
        with torch.inference_mode():
            return network(torch.full((1, 3, size, size), 128, dtype=torch.uint8))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise _UnfitError(first_line(error)) from error


def _width(name: str, network: nn.Module, size: int) -> int | None:
    """Return the number of features of a model, None if they are not finite.

    Raises UsageError if the model gives no vector for each picture.
    """
    features = _features(network, size)
    if not isinstance(features, Tensor) or features.ndim != 2 or features.shape[1] == 0:
        raise UsageError(f"--backbone {name}: gives no pooled features, a vector for each picture; choose another")
    return features.shape[1] if features.isfinite().all() else None


def _library(name: str) -> ModuleType:
    libraries = {"timm": timm_models, "torchvision": torchvision_models, "clusterkit": own_models}
    return libraries[name.partition(":")[0]]


def _own_name(name: str) -> str:
    """Return the name of a model without its library."""
    return name.partition(":")[2]
