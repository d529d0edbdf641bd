"""Changes of an artifact's bytes, and of its header and values with a digest that is right again."""

import json
import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import safetensors.torch
import torch

from clusterkit.artifacts import checkpoint, hdf5
from clusterkit.artifacts.header import KEY, canonical, seal
from clusterkit.artifacts.json_file import _digests

Values = dict[str, Any]
"""Arrays or tensors by name (`SUBSET/DATASET` in HDF5); of a JSON file, its members."""


def flipped(data: bytes, other: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 9])):
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def overwritten(data: bytes, other: bytes, chance: random.Random) -> bytes:
    at, size = chance.randrange(len(data)), chance.choice([1, 4, 50, 5000])
    run = chance.choice([bytes(size), b"\xff" * size, chance.randbytes(size)])
    return data[:at] + run + data[at + size :]


def cut(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data[: chance.choice([0, 1, 8, len(data) - 1, chance.randrange(len(data))])]


def spliced(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


def inserted(data: bytes, other: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(chance.choice([1, 8, 100])) + data[at:]


def removed(data: bytes, other: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.choice([1, 8, 100]) :]


OF_BYTES = (flipped, overwritten, cut, spliced, inserted, removed)


def opened(path: Path) -> tuple[dict[str, Any], Values]:
    """Return the header and the values of a file."""
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        length = int.from_bytes(data[:8], "little")
        return json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY]), safetensors.torch.load(data)
    if path.suffix == ".json":
        content = json.loads(data)
        return content.pop(KEY), content
    with h5py.File(path) as file:
        return json.loads(file.attrs[KEY]), {f"{t}/{n}": np.asarray(file[t][n]) for t in file for n in file[t]}


def closed(path: Path, header: dict[str, Any], values: Values) -> None:
    """Write a file whose digest is right, whatever it holds."""
    if path.suffix == ".safetensors":
        state = {name: value.clone(memory_format=torch.contiguous_format) for name, value in values.items()}
        text = canonical({**header, "digest": seal(header, checkpoint.digests(state))})
        path.write_bytes(safetensors.torch.save(state, {KEY: text}))
    elif path.suffix == ".json":
        path.write_text(canonical({KEY: {**header, "digest": seal(header, _digests(values))}, **values}) + "\n")
    else:
        digests = {name: hdf5._digest(value) for name, value in values.items()}
        with h5py.File(path, "w") as file:
            file.attrs[KEY] = canonical({**header, "digest": seal(header, digests)})
            for name, value in values.items():
                file[name] = value
        path.write_bytes(path.read_bytes() + hdf5.SEAL + sha256(path.read_bytes()).hexdigest().encode())


ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**70, 0.5, 1e308, "", "x", "0", "../..", "é" * 50, [], [0], ["x"], [[]], {}, {"a": 1},
    {"all": 3},
)  # fmt: skip
"""Values that a member of a header may have instead of its own."""


def with_odd_member(header: Any, chance: random.Random) -> str:
    """Change, remove or add a member somewhere in JSON; return what was done."""
    place, path = header, ""
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            if isinstance(place, dict):
                place["x"] = chance.choice(ODD)
            return f"{path}: a member added"
        key = chance.choice(keys)
        path = f"{path}.{key}"
        inner = place[key]
        if isinstance(inner, dict | list) and inner and chance.random() < 0.7:
            place = inner
            continue
        if isinstance(inner, int | float) and not isinstance(inner, bool) and chance.random() < 0.5:
            place[key] = chance.choice([inner + 1, -inner, inner * 10**6, float(inner) + 0.5])
            return f"{path}: {inner} is {place[key]}"
        if isinstance(place, dict) and chance.random() < 0.2:
            del place[key]
            return f"{path}: removed"
        place[key] = chance.choice(ODD)
        return f"{path}: {inner!r} is {place[key]!r}"[:300]


def with_odd_values(values: Values, chance: random.Random) -> str:
    """Change the type, shape, name or numbers of one array; return what was done."""
    name = chance.choice(sorted(values))
    value = values[name]
    is_tensor = isinstance(value, torch.Tensor)
    array = value.float().numpy() if is_tensor and value.dtype == torch.bfloat16 else np.asarray(value)
    what, changed = chance.choice(ARRAYS)(array, chance)
    if changed is None:
        del values[name]
        what = chance.choice(["removed", "renamed", "in another group", "twice"])
        if what == "renamed":
            values[f"{name}x"] = value
        elif what == "in another group":
            values[f"other/{name.rpartition('/')[2]}"] = value
        elif what == "twice":
            values |= {name: value, f"{name}2": value}
        return f"{name}: {what}"
    values[name] = torch.from_numpy(np.ascontiguousarray(changed)) if is_tensor else changed
    return f"{name}: {what}"


Changed = tuple[str, np.ndarray[Any, Any] | None]


def _typed(array: np.ndarray[Any, Any], chance: random.Random) -> Changed:
    kind = chance.choice(["f2", "f4", "f8", "i4", "i8", "u1", "?"])
    with np.errstate(all="ignore"):
        return f"as {kind}", array.astype(kind)


def _shaped(array: np.ndarray[Any, Any], chance: random.Random) -> Changed:
    kinds = [array.reshape(-1), array[None], array[..., None], array.T.copy()]
    if array.ndim and len(array):
        kinds += [array[:-1], array[:0], np.concatenate([array, array]), array[:1]]
    if array.ndim > 1:
        kinds += [array[:, :-1], array[:, :0], array[:, :1]]
    changed = chance.choice(kinds)
    return f"{array.shape} as {changed.shape}", changed


def _numbered(array: np.ndarray[Any, Any], chance: random.Random) -> Changed:
    changed = array.copy()
    if not changed.size:
        return "unchanged", changed
    flat = changed.reshape(-1)
    some = [chance.randrange(flat.size) for _ in range(chance.choice([1, 1, 5, flat.size]))]
    if changed.dtype.kind == "f":
        number = chance.choice([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, 1.0, -1.0])
    elif changed.dtype.kind == "b":
        number = True
    else:
        number = chance.choice([-1, 0, 1, -(2**30), 2**30, -5, len(flat)])
    with np.errstate(all="ignore"):
        flat[some] = np.array(number).astype(flat.dtype)
    return f"{len(set(some))} numbers are {number}", changed


def _shuffled(array: np.ndarray[Any, Any], chance: random.Random) -> Changed:
    if not array.ndim or not len(array):
        return "unchanged", array
    return "rows in another order", array[np.random.default_rng(chance.getrandbits(32)).permutation(len(array))]


def _gone(array: np.ndarray[Any, Any], chance: random.Random) -> Changed:
    return "", None


ARRAYS: tuple[Callable[[np.ndarray[Any, Any], random.Random], Changed], ...] = (
    _typed, _shaped, _numbered, _shuffled, _gone
)  # fmt: skip


def mutated(path: Path, other: bytes, chance: random.Random) -> str:
    """Change a file in place; return what was done."""
    if chance.random() < 0.4:
        change = chance.choice(OF_BYTES)
        data = path.read_bytes()
        path.write_bytes(change(data, other, chance))
        return f"bytes {change.__name__}"
    header, values = opened(path)
    if path.suffix == ".json" and chance.random() < 0.6:
        done = "values " + with_odd_member(values, chance)
    elif path.suffix == ".json" or chance.random() < 0.5:
        done = "header " + with_odd_member(header, chance)
    else:
        done = "values " + with_odd_values(values, chance)
    closed(path, header, values)
    return done
