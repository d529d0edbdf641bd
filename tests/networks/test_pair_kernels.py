"""The kernels of a GPU without one."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clusterkit.networks import pair_logits as module
from clusterkit.networks.pair_logits import kernels_for


def test_the_kernels_compute_what_each_pair_by_itself_gives() -> None:
    pytest.importorskip("triton")
    script = Path(__file__).with_name("interpreted.py")
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_cpu_has_no_kernels() -> None:
    assert kernels_for(torch.randn(3, 4)) is None


def test_a_gpu_whose_kernels_do_not_run_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "clusterkit.networks.pair_kernels", None)
    monkeypatch.delattr("clusterkit.networks.pair_kernels", raising=False)
    module._kernels.cache_clear()
    with caplog.at_level(logging.INFO, "clusterkit"):
        assert module._kernels(torch.device("cuda:0")) is None
    module._kernels.cache_clear()
    assert "pair head: its kernels do not run here (" in caplog.text


def test_a_lack_of_memory_is_no_missing_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")

    def full(device: torch.device) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "device", full)
    module._kernels.cache_clear()
    with pytest.raises(torch.OutOfMemoryError):
        module._kernels(torch.device("cuda:0"))
