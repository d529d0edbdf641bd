"""The user's own arrays: `arrays:FILE.npz` with x and, if the classes are known, y."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterkit import console
from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.images import resized
from clusterkit.datasets.look import polarity
from clusterkit.errors import InputError, MissingFileError


def load(request: Request) -> Raw:
    """Read x as vectors (N, D) or as images (N, H, W), (N, H, W, C) or (N, C, H, W) with C = 1 or 3; and y (N,).

    Images are uint8, or numbers in 0..1 or 0..255. Grey images with light borders are inverted to bright ink on dark.
    """
    path = Path(request.argument)
    return to_raw(read(path), request, path)


def to_raw(content: Mapping[str, NDArray[Any]], request: Request, path: Path) -> Raw:
    """Return x, and y where there is one, in the form of a data set; messages of errors begin with `path`."""
    x = content["x"]
    if x.dtype.kind not in "buif" or x.ndim not in (2, 3, 4) or not x.size:
        raise InputError(
            f"{path}: x is {x.dtype} {x.shape}; expected numbers, not empty, of shape "
            "(N, D), (N, H, W), (N, H, W, C) or (N, C, H, W)"
        )
    labels, classes = (None, ()) if content.get("y") is None else name_classes(content["y"], len(x), path)
    if labels is not None and (labels < 0).any():
        console.once("%s: %d of %d items are unlabelled (their y is -1)", path, int((labels < 0).sum()), len(x))
    if x.ndim == 2:
        return Raw(torch.from_numpy(finite(x, "x", path)), labels, classes, kind=Kind.VECTORS)
    images = to_bytes(arrange(x, path), path)
    if images.shape[1] == 3:
        return Raw(resized(images, request.size, request.channels), labels, classes, kind=Kind.PHOTOS)
    decided = polarity(images, len(images), request, path)
    if decided.inverted:
        images = images.bitwise_not_()
    return Raw(
        resized(images, request.size, request.channels), labels, classes, kind=Kind.CHARACTERS,
        inverted=decided.inverted, bright_ink=decided.bright_ink,
    )  # fmt: skip


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Return x and, if the file has it, y. Raises InputError for a file that is not an npz of plain arrays."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("a single bare array")
            content: dict[str, NDArray[Any]] = {name: file[name] for name in file.files if name in ("x", "y")}
            names = ", ".join(file.files) or "nothing"
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{path}: no such file; name an .npz file, written with numpy.savez(FILE, x=x, y=y)"
        ) from error
    except OSError as error:
        if error.strerror is None:
            raise unreadable(path, error) from error
        raise InputError(f"{path}: cannot be read ({error.strerror}); name an .npz file") from error
    except (ValueError, EOFError, KeyError, TypeError, BadZipFile, zlib.error) as error:
        raise unreadable(path, error) from error
    if "x" not in content:
        raise InputError(f"{path}: no array x (it holds {names}); write it with numpy.savez(FILE, x=x, y=y)")
    return content


def unreadable(path: Path, error: Exception) -> InputError:
    """Return the error for a file whose content is not that of an .npz of plain arrays."""
    # Only the first sentence is shown: the next ones advise programmers to load unsafe content.
    reason = str(error).splitlines()[0].partition(". ")[0] if str(error) else type(error).__name__
    return InputError(
        f"{path}: not a readable .npz of plain arrays ({reason}); write it with numpy.savez(FILE, x=x, y=y)"
    )


def finite(values: NDArray[Any], name: str, path: Path) -> NDArray[np.float32]:
    """Return an array as float32. Raises InputError that names the position of the first NaN or infinite value."""
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad) and np.isfinite(values).all():
        raise InputError(f"{path}: {name} has values beyond {np.finfo(np.float32).max:.0e}; scale it")
    if len(bad):
        first = ", ".join(str(i) for i in np.unravel_index(bad[0], numbers.shape))
        raise InputError(
            f"{path}: {name} has {len(bad)} NaN or infinite values, the first at {name}[{first}]; "
            "remove or replace them"
        )
    return numbers


def arrange(x: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return images as (N, C, H, W). Raises InputError unless C is 1 or 3."""
    if x.ndim == 3:
        return x[:, None]
    if x.shape[3] in (1, 3):
        return x.transpose(0, 3, 1, 2)
    if x.shape[1] in (1, 3):
        return x
    raise InputError(
        f"{path}: x of shape {x.shape} has neither 1 nor 3 channels; put the channels on its second or last axis"
    )


def to_bytes(x: NDArray[Any], path: Path) -> Tensor:
    """Return images (N, C, H, W) as uint8. Raises InputError for values outside 0..255."""
    if x.dtype == np.uint8:
        return torch.tensor(x)
    numbers = finite(x, "x", path)
    low, high = float(numbers.min()), float(numbers.max())
    if low < 0 or high > 255:
        raise InputError(f"{path}: x has values from {low:g} to {high:g}; scale images to 0..1 or to 0..255")
    unit = x.dtype.kind == "b" or (x.dtype.kind == "f" and high <= 1)
    return torch.from_numpy(np.rint(numbers * 255 if unit else numbers).astype(np.uint8))


def name_classes(y: NDArray[Any], count: int, path: Path) -> tuple[Tensor | None, tuple[str, ...]]:
    """Return the labels (N,), which are positions in the classes, and the classes: the sorted values of y, as text.

    The number -1 means unlabelled, as in scikit-learn; such an item has the label -1. Returns no labels if all items
    are unlabelled.
    """
    if y.shape != (count,):
        raise InputError(f"{path}: y has shape {y.shape}; expected ({count},), one value per item of x")
    if y.dtype.kind == "f":
        finite(y, "y", path)
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: y holds bytes that are not UTF-8; write it as text or numbers") from error
    is_labelled = y != -1 if y.dtype.kind in "if" else np.ones(count, bool)
    if not is_labelled.any():
        return None, ()
    values, positions = np.unique(y[is_labelled], return_inverse=True)
    labels = torch.full((count,), -1)
    labels[torch.from_numpy(is_labelled)] = torch.from_numpy(positions.astype(np.int64))
    return labels, tuple(text(value) for value in values.tolist())


def text(value: Any) -> str:
    """Return a value of y as a class name; a float without fraction is written as an integer."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


PREFIXES = {
    "arrays": Source(
        load,
        Kind.PHOTOS,
        "FILE.npz: your own arrays: x with images or vectors, y with the classes if known",
        channels=None,
    )
}
