"""Devices, precision and seeds."""

import ctypes
import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from clusterkit.config import Precision
from clusterkit.errors import UsageError

MMAP_MAX, TRIM_THRESHOLD, MMAP_THRESHOLD = -4, -1, -3
"""Numbers of the parameters of glibc's `mallopt`."""
USUAL = {MMAP_THRESHOLD: 2**25, TRIM_THRESHOLD: 2**26, MMAP_MAX: 2**16}
"""The values that glibc reaches by itself in a program with large blocks."""


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:N` or `mps` into a device. Raises UsageError for a device that is not here."""
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
        raise UsageError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA device(s), numbered from 0"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"--device {name}: no MPS device here; use --device cpu or auto")
    return torch.device(kind, int(number)) if number else torch.device(kind)


def send(x: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Return a tensor on a device; copies to CUDA go through pinned memory, so that the CPU does not wait."""
    if x.device.type == "cpu" and torch.device(device).type == "cuda":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


def describe(device: torch.device) -> str:
    """Return a device as headers record it: its kind and, for CUDA, its model, but not its number."""
    return f"cuda: {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type


def quick_precision(device: torch.device) -> Precision:
    """Return bf16 for a device that multiplies in bfloat16 faster than in float32, and fp32 for any other."""
    if device.type == "cuda":
        return Precision.BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else Precision.FP32
    processor = Path("/proc/cpuinfo")
    has_bf16 = device.type == "cpu" and processor.exists() and "avx512_bf16" in processor.read_text()
    return Precision.BF16 if has_bf16 else Precision.FP32


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raise UsageError for a precision that the device does not support."""
    if precision is Precision.TF32 and device.type != "cuda":
        raise UsageError(f"--precision tf32: only CUDA devices have it, this is {device.type}; use fp32 or bf16")


@contextmanager
def multiplying(precision: Precision) -> Iterator[None]:
    """Let CUDA round the factors of float32 products to TF32 if `precision` is tf32, and otherwise forbid it."""
    settings: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [setting.allow_tf32 for setting in settings]
    try:
        for setting in settings:
            setting.allow_tf32 = precision is Precision.TF32
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.allow_tf32 = value


@contextmanager
def one_thread_each() -> Iterator[int]:
    """Limit torch to one thread in each worker; yield the number of threads that it had."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def derive_seed(seed: int, *names: str | int) -> int:
    """Return the seed of one use of randomness; it depends only on `seed` and `names`."""
    text = "/".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def seeded(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU generator for one use of randomness; also seed torch's global generator, which dropout reads."""
    value = derive_seed(seed, *names)
    torch.manual_seed(value)
    return torch.Generator().manual_seed(value)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let the C library keep memory that is freed within the block, for steps that need the same sizes again.

    Otherwise glibc returns each large tensor to the system, which has to clear every page before it is used again: up
    to a quarter of the time of a step on a CPU. With another C library, or with settings of glibc's in the environment,
    this does nothing. After the block glibc no longer adapts its thresholds by itself.
    """
    is_set = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if platform.libc_ver()[0] != "glibc" or is_set:
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(MMAP_MAX, 0)
    library.mallopt(TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        for parameter, value in USUAL.items():
            library.mallopt(parameter, value)
        library.malloc_trim(0)
