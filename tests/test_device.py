import ctypes
import platform
import resource

import pytest
import torch

from clusterkit.config import Precision
from clusterkit.device import (
    check_precision,
    choose_device,
    derive_seed,
    describe,
    kept_memory,
    multiplying,
    seeded,
    send,
)
from clusterkit.errors import UsageError


@pytest.fixture
def cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("cpu_only")
def test_auto_is_the_cpu_where_there_is_nothing_else() -> None:
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("cpu_only")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7", "mps"])
def test_a_device_that_is_not_here_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"--device {name}: no (CUDA|MPS) device here; use --device cpu or auto"):
        choose_device(name)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("name", ["", "gpu", "CPU", "cpu:", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:²", "mps:0"])
def test_a_name_that_is_none_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"--device {name}: choose auto, cpu, cuda, cuda:N or mps"):
        choose_device(name)


@pytest.mark.usefixtures("two_gpus")
def test_gpus_are_counted() -> None:
    assert choose_device("auto").type == "cuda"
    assert choose_device("cuda").type == "cuda"
    assert choose_device("cuda:1") == choose_device("cuda:01") == torch.device("cuda", 1)
    with pytest.raises(UsageError, match="--device cuda:2: this machine has 2 CUDA device"):
        choose_device("cuda:2")


def test_a_header_says_the_kind_of_device() -> None:
    assert describe(torch.device("cpu")) == "cpu"


def test_seeds_differ_by_use_and_are_the_same_everywhere() -> None:
    assert derive_seed(0, "ccn", "Angelic") == 44453399784274306
    uses = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 1), (0, "a", 2), (0,)]
    assert len({derive_seed(*use) for use in uses}) == len(uses)
    assert all(0 <= derive_seed(*use) < 2**56 for use in uses)


def test_a_generator_and_the_global_one_start_anew() -> None:
    drawn = []
    for _ in range(2):
        generator = seeded(3, "train", 5)
        drawn.append((torch.rand(3, generator=generator).tolist(), torch.rand(3).tolist()))
    assert drawn[0] == drawn[1]


def test_only_cuda_has_tf32() -> None:
    for precision in Precision:
        check_precision(precision, torch.device("cuda"))
    for precision in (Precision.FP32, Precision.BF16):
        check_precision(precision, torch.device("cpu"))
    with pytest.raises(UsageError, match="--precision tf32: only CUDA devices have it, this is cpu; use fp32 or bf16"):
        check_precision(Precision.TF32, torch.device("cpu"))


@pytest.mark.parametrize("precision", Precision)
def test_how_cuda_multiplies_is_put_back(precision: Precision) -> None:
    settings = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [setting.allow_tf32 for setting in settings]
    with multiplying(precision):
        assert [setting.allow_tf32 for setting in settings] == [precision is Precision.TF32] * 2
    assert [setting.allow_tf32 for setting in settings] == before


def test_what_is_sent_arrives() -> None:
    x = torch.arange(3)
    assert send(x, "cpu") is x
    assert send(x, torch.device("meta")).device.type == "meta"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory by rules of its own")
def test_freed_memory_is_kept_within_a_training() -> None:
    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.empty(2**24).fill_(1)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with kept_memory():
        # A tensor of 64 MiB has 16,384 pages; its place settles within a few calls.
        assert sum(faults() for _ in range(20)) < 10 * 16_384
    with pytest.raises(KeyError), kept_memory():
        raise KeyError


@pytest.mark.parametrize(
    ("library", "variable"), [("musl", ""), ("glibc", "MALLOC_TOP_PAD_"), ("glibc", "GLIBC_TUNABLES")]
)
def test_memory_is_left_to_the_settings_of_the_user(
    library: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: (library, "1"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("changed the settings"))
    if variable:
        monkeypatch.setenv(variable, "1")
    with kept_memory():
        assert torch.ones(1) == 1
