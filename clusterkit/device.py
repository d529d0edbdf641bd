"""Where tensors live, and what makes two runs alike."""

import hashlib

import torch

from clusterkit.errors import UsageError


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:N` or `mps` into a device. Raises UsageError for one that is not here."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and (kind != "cuda" or not number.isdecimal())):
        raise UsageError(f"--device {name}: choose auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: no CUDA device here; use --device cpu or auto")
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: this machine has {torch.cuda.device_count()} CUDA device(s)")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"--device {name}: no MPS device here; use --device cpu or auto")
    return torch.device(kind, int(number)) if number else torch.device(kind)


def describe(device: torch.device) -> str:
    """Return what a header says of a device: its kind, never which one of several."""
    return f"cuda: {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a seed of its own for one use of randomness, the same whatever else is run beside it."""
    text = "/".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def seeded(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU generator for one use; torch's global one, which dropout reads, is set to the same seed."""
    value = derive_seed(seed, *names)
    torch.manual_seed(value)
    return torch.Generator().manual_seed(value)
