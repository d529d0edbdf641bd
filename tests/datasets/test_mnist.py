import struct

import pytest
import torch

from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError


def write_idx(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">I{values.ndim}I", 0x800 + values.ndim, *values.shape)
    path.write_bytes(header + values.to(torch.uint8).numpy().tobytes())


def write_part(root, name, stem, labels):
    images = torch.randint(256, (len(labels), 28, 28), generator=torch.Generator().manual_seed(0))
    write_idx(root / name / "raw" / f"{stem}-images-idx3-ubyte", images)
    write_idx(root / name / "raw" / f"{stem}-labels-idx1-ubyte", torch.tensor(labels))
    return images


def test_mnist_is_read_as_it_is(tmp_path):
    images = write_part(tmp_path, "MNIST", "train", [3, 0, 9])
    found = load_dataset("mnist_train", tmp_path, offline=True, size=28)
    assert torch.equal(found.union().images[:, 0], images.to(torch.uint8))
    assert found.labels.tolist() == [3, 0, 9]
    assert load_dataset("mnist_train@9", tmp_path, channels=3).shape == (3, 32, 32)


def test_emnist_is_turned_upright_and_its_letters_count_from_0(tmp_path):
    images = write_part(tmp_path, "EMNIST", "emnist-letters-test", [1, 26])
    found = load_dataset("emnist_letters_test", tmp_path, offline=True, size=28)
    assert torch.equal(found.union().images[:, 0], images.to(torch.uint8).transpose(1, 2))
    assert [found.classes[i] for i in found.labels.tolist()] == ["a", "z"]


@pytest.mark.parametrize("kept", [0, 3, 10, 100, -1])
@pytest.mark.parametrize("which", ["images-idx3", "labels-idx1"])
def test_a_truncated_file_is_named(tmp_path, which, kept):
    write_part(tmp_path, "MNIST", "t10k", [1] * 200)
    path = tmp_path / "MNIST" / "raw" / f"t10k-{which}-ubyte"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=f"{which}-ubyte: damaged"):
        load_dataset("mnist_test", tmp_path, offline=True)


def test_labels_that_do_not_fit_are_refused(tmp_path):
    write_part(tmp_path, "FashionMNIST", "train", [1, 10])
    with pytest.raises(InputError, match="labels outside the 10 classes"):
        load_dataset("fashion_mnist_train", tmp_path)
    write_idx(tmp_path / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte", torch.tensor([1, 2, 3]))
    with pytest.raises(InputError, match="3 labels for 2 images"):
        load_dataset("fashion_mnist_train", tmp_path)


def test_real_parts(real_data):
    digits = load_dataset("mnist_test", real_data, offline=True)
    assert torch.bincount(digits.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    letters = load_dataset("emnist_letters_test", real_data, offline=True).union()
    assert torch.bincount(letters.labels).tolist() == [800] * 26
    mean = letters.images[letters.labels == 11].float().mean(0)[0]
    assert mean.sum(1).std() < mean.sum(0).std()  # an upright l is narrow
    clothes = load_dataset("fashion_mnist_test@0,9", real_data, offline=True)
    assert len(clothes) == 2000
