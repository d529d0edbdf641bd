import numpy as np
import pytest
import torch

from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError


def test_svhn(tmp_path, monkeypatch):
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 3), dtype=np.uint8)
    savemat(tmp_path / "test_32x32.mat", {"X": pixels, "y": np.array([[10], [1], [9]], dtype=np.uint8)})
    with pytest.raises(InputError, match=r"test_32x32\.mat: damaged"):
        load_dataset("svhn_test", tmp_path, offline=True)
    monkeypatch.setitem(SVHN.split_list, "test", ["", "test_32x32.mat", None])
    found = load_dataset("svhn_test", tmp_path, offline=True)
    assert found.labels.tolist() == [0, 1, 9]
    assert torch.equal(found.union().images, torch.from_numpy(pixels).permute(3, 2, 0, 1))
    assert load_dataset("svhn_test", tmp_path, channels=1).shape == (1, 32, 32)
