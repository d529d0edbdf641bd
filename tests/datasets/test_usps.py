import bz2

import pytest
import torch

from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError


def write_usps(path, labels, value):
    pixels = " ".join(f"{i + 1}:{value}" for i in range(256))
    path.write_bytes(bz2.compress("".join(f"{label + 1} {pixels} \n" for label in labels).encode()))


def test_usps(tmp_path):
    write_usps(tmp_path / "usps.bz2", [9, 0], 1.0)
    found = load_dataset("usps_train", tmp_path, offline=True)
    assert found.shape == (1, 32, 32)
    assert found.labels.tolist() == [9, 0]
    assert found.union().images.min() == 255


@pytest.mark.parametrize("damage", ["truncated", "text", "label"])
def test_a_damaged_usps_is_named(tmp_path, damage):
    path = tmp_path / "usps.t.bz2"
    write_usps(path, [3, 10 if damage == "label" else 4], -1)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-9])
    if damage == "text":
        path.write_bytes(bz2.compress(b"1 1:a\n"))
    with pytest.raises(InputError, match=r"usps\.t\.bz2: damaged"):
        load_dataset("usps_test", tmp_path, offline=True)


def test_the_real_test_part(real_data):
    usps = load_dataset("usps_test", real_data, offline=True)
    assert torch.bincount(usps.labels).tolist() == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]
