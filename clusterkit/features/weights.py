"""Files of weights: where they are looked for, how they are downloaded, and how they are read."""

import re
import sys
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 - nothing is unpickled by it
from typing import Any
from urllib.request import Request, urlopen

import safetensors.torch
import torch
from torch import Tensor

from clusterkit import console
from clusterkit.errors import InputError, is_out_of_memory
from clusterkit.features.card import Card, quiet

ON_THE_HUB = ("model.safetensors", "pytorch_model.bin")
"""The names of files of weights in a repository of the hub; the usual one comes first."""
PUT = "put the file there, or name it by --weights FILE"
"""What helps against missing weights."""
INSIDE = ("state_dict", "model")
"""Keys under which files of a training keep the weights."""


def at_hand(card: Card, data: Path) -> list[Path]:
    """Return the files of a model's weights on this machine: in the data root, and in the cache of its library."""
    if card.packaged is not None:
        return [card.packaged]
    places = [data / "weights" / file for file in card.files]
    if card.repository:
        from huggingface_hub import try_to_load_from_cache

        cached = [try_to_load_from_cache(card.repository, file) for file in ON_THE_HUB]
        places += [Path(file) for file in cached if isinstance(file, str)]
    elif card.url:
        places.append(_torch_cache(card))
    return [place for place in places if place.is_file()]


def missing(name: str, card: Card, data: Path, reason: str, advice: str) -> InputError:
    """Return the error for weights that are not on this machine and cannot be downloaded."""
    place = data / "weights" / card.files[0]
    cache = ""
    if card.repository:
        from huggingface_hub import constants

        cache = f", nor {ON_THE_HUB[0]} of {card.repository} in {constants.HF_HUB_CACHE}"
    elif card.url:
        cache = f", nor {_torch_cache(card)}"
    return InputError(f"{name}: no weights on this machine ({reason}): there is no {place}{cache}; {advice}")


def download(name: str, card: Card, data: Path) -> Path:
    """Download a model's weights into the cache of its library; return the file.

    Raises InputError if they cannot be downloaded.
    """
    if not (card.repository or card.url):
        raise missing(name, card, data, "none are published for it", PUT)
    try:
        with quiet():
            return _from_hub(name, card) if card.repository else _from_url(name, card)
    except Exception as error:
        # The libraries do not document which errors a failed download raises.
        reason = f"the download failed: {first_line(error)}"
        raise missing(name, card, data, reason, f"connect to a network, {PUT}") from error


def _from_hub(name: str, card: Card) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, utils

    file = ON_THE_HUB[0]
    try:
        content = get_hf_file_metadata(hf_hub_url(card.repository, file))
    except utils.EntryNotFoundError:
        file = ON_THE_HUB[1]
        content = get_hf_file_metadata(hf_hub_url(card.repository, file))
    _say(name, content.size, f"https://huggingface.co/{card.repository}")
    shown = not utils.are_progress_bars_disabled()
    if not _on_a_terminal():
        utils.disable_progress_bars()
    try:
        return Path(hf_hub_download(card.repository, file))
    finally:
        if shown:
            utils.enable_progress_bars()


def _from_url(name: str, card: Card) -> Path:
    with urlopen(Request(card.url, method="HEAD"), timeout=20) as answer:
        _say(name, int(answer.headers.get("Content-Length") or 0), card.url)
    file = _torch_cache(card)
    file.parent.mkdir(parents=True, exist_ok=True)
    start = re.search(r"-([a-f0-9]{8,})\.", file.name)
    torch.hub.download_url_to_file(card.url, str(file), start[1] if start else None, progress=_on_a_terminal())
    return file


def _say(name: str, size: int | None, place: str) -> None:
    console.log.info("%s: downloading its weights%s from %s", name, f", {console.size(size)}," if size else "", place)


def _on_a_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _torch_cache(card: Card) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / card.url.rsplit("/", 1)[-1]


def read_state(file: Path) -> dict[str, Tensor]:
    """Return the tensors by name in a file of weights: safetensors, or what PyTorch reads without running code.

    Raises InputError for a file that is missing, empty, a folder, damaged or unsafe, or that holds no weights.
    """
    if not file.is_file():
        what = "a folder" if file.is_dir() else "no such file"
        raise InputError(f"{file}: {what}; name a file of weights (.safetensors, .pth or .bin)")
    if file.stat().st_size == 0:
        raise InputError(f"{file}: empty; download the weights again")
    try:
        with quiet():
            state = safetensors.torch.load_file(file) if file.suffix == ".safetensors" else _read_safely(file)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if isinstance(error, UnpicklingError) and _is_pickle(file):
            raise InputError(
                f"{file}: holds more than tensors, which could run code when it is read; save its state dict as "
                "safetensors, or name another file"
            ) from error
        # Neither library documents which errors a damaged file raises.
        raise InputError(
            f"{file}: no file of weights, or a damaged one; download it again, or name another file (.safetensors, "
            ".pth or .bin)"
        ) from error
    if not (isinstance(state, dict) and state and all(isinstance(value, Tensor) for value in state.values())):
        raise InputError(f"{file}: holds no weights; name a file of tensors by name, such as .safetensors")
    return state


def _is_pickle(file: Path) -> bool:
    """Return whether a file is an archive of PyTorch, or starts as a pickle does."""
    with file.open("rb") as start:
        return start.read(4).startswith((b"PK\3\4", b"\x80"))


def _read_safely(file: Path) -> Any:
    state = torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251 - runs no code of the file
    for key in INSIDE:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            return state[key]
    return state


MISFIT = re.compile(r"size mismatch for (\S+): .*?\[([\d, ]*)\].*?\[([\d, ]*)\]")


def misfit(error: Exception) -> str:
    """Return which tensor of a file does not fit a network, if the error of PyTorch names one, else its first line."""
    match = MISFIT.search(str(error))
    if match is None:
        return first_line(error)
    present, expected = (text.replace(", ", " x ") or "one number" for text in match.groups()[1:])
    return f"{match[1]} is {present}, not {expected}"


def first_line(error: Exception) -> str:
    """Return what an error of a library says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" :.") if lines else type(error).__name__
