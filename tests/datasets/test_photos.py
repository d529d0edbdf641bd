"""The small photo sets: USPS, SVHN, CIFAR, Office-31, each from files of its own layout."""

import bz2
import pickle  # noqa: TID251  the published CIFAR files are pickles

import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.config import Kind
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError

RANDOM = np.random.default_rng(0)


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


def test_svhn(tmp_path, monkeypatch):
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    pixels = RANDOM.integers(0, 256, (32, 32, 3, 3), dtype=np.uint8)
    savemat(tmp_path / "test_32x32.mat", {"X": pixels, "y": np.array([[10], [1], [9]], dtype=np.uint8)})
    with pytest.raises(InputError, match=r"test_32x32\.mat: damaged"):
        load_dataset("svhn_test", tmp_path, offline=True)
    monkeypatch.setitem(SVHN.split_list, "test", ["", "test_32x32.mat", None])
    found = load_dataset("svhn_test", tmp_path, offline=True)
    assert found.labels.tolist() == [0, 1, 9]
    assert torch.equal(found.union().images, torch.from_numpy(pixels).permute(3, 2, 0, 1))
    assert load_dataset("svhn_test", tmp_path, channels=1).shape == (1, 32, 32)


def write_cifar(root, monkeypatch, kind, key):
    """Write binary files of CIFAR's layout, two images a file, and let torchvision take them."""
    place = root / kind.base_folder
    place.mkdir()
    for file, _ in [*kind.train_list, *kind.test_list]:
        data = RANDOM.integers(0, 256, (2, 3072), dtype=np.uint8)
        (place / file).write_bytes(pickle.dumps({"data": data, key: [1, 0]}))
    (place / kind.meta["filename"]).write_bytes(pickle.dumps({kind.meta["key"]: ["ant", "bee"]}))
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(kind, part, [[file, None] for file, _ in getattr(kind, part)])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": None})
    return data


@pytest.mark.parametrize(("name", "count"), [("cifar10", 10), ("cifar100", 2)])
def test_cifar_from_its_binary_files(tmp_path, monkeypatch, name, count):
    from torchvision import datasets

    kind = getattr(datasets, name.upper())
    last = write_cifar(tmp_path, monkeypatch, kind, "labels" if name == "cifar10" else "fine_labels")
    assert len(load_dataset(f"{name}_train", tmp_path, offline=True)) == count
    found = load_dataset(f"{name}_test", tmp_path, offline=True)
    assert found.classes == ("ant", "bee")
    assert found.labels.tolist() == [1, 0]
    assert torch.equal(found.union().images.flatten(1), torch.from_numpy(last))


@pytest.mark.parametrize("file", ["data_batch_3", "batches.meta"])
def test_a_cifar_file_of_another_checksum_is_named(tmp_path, monkeypatch, file):
    from torchvision import datasets

    write_cifar(tmp_path, monkeypatch, datasets.CIFAR10, "labels")
    wrong = "0" * 32
    monkeypatch.setattr(
        datasets.CIFAR10,
        "train_list",
        [[name, wrong if name == file else None] for name, _ in datasets.CIFAR10.train_list],
    )
    if file == "batches.meta":
        monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": wrong})
    with pytest.raises(InputError, match=f"{file}: damaged"):
        load_dataset("cifar10_train", tmp_path, offline=True)


def write_tree(place, counts, size=(8, 8)):
    for name, count in counts.items():
        (place / name).mkdir(parents=True)
        for number in range(count):
            pixels = RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / name / f"{number}.png")


def test_cifar_from_an_image_tree(tmp_path):
    write_tree(tmp_path / "cifar100" / "test", {"bee": 1, "ant": 2})
    found = load_dataset("cifar100_test", tmp_path, offline=True)
    assert found.classes == ("ant", "bee")
    assert found.labels.tolist() == [0, 0, 1]
    assert found.union().paths == ("ant/0.png", "ant/1.png", "bee/0.png")


def test_an_empty_tree_is_refused(tmp_path):
    (tmp_path / "cifar10" / "train").mkdir(parents=True)
    with pytest.raises(InputError, match="no CLASS/IMAGE files"):
        load_dataset("cifar10_train", tmp_path, offline=True)


def test_office31_reads_only_the_domain_asked_for(tmp_path):
    place = tmp_path / "office31"
    write_tree(place / "amazon", {"bike": 2, "mug": 1}, (9, 12))
    write_tree(place / "dslr", {"mug": 2, "pen": 1})
    write_tree(place / "webcam", {"pen": 1})
    whole = load_dataset("office31", tmp_path, offline=True)
    assert [len(subset) for subset in whole.subsets] == [3, 3, 1]
    (place / "amazon" / "bike" / "1.png").write_bytes(b"not read")
    dslr = load_dataset("office31/dslr", tmp_path, offline=True)
    assert dslr.classes == whole.classes == ("bike", "mug", "pen")
    assert dslr.shape == (3, 64, 64)
    assert dslr.union().ids.tolist() == [3, 4, 5]
    assert torch.equal(dslr.union().images, whole.subsets[1].images)
    assert dslr.labels.tolist() == [1, 1, 2]
    with pytest.raises(InputError, match=r"1\.png: not a readable image"):
        load_dataset("office31/amazon", tmp_path, offline=True)


def test_real_usps_and_office31(real_data):
    usps = load_dataset("usps_test", real_data, offline=True)
    assert torch.bincount(usps.labels).tolist() == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]
    webcam = load_dataset("office31/webcam", real_data, offline=True, channels=1)
    assert (len(webcam), len(webcam.classes), webcam.shape) == (795, 31, (1, 64, 64))
    assert webcam.union().ids.tolist() == list(range(3315, 4110))
    assert webcam.kind is Kind.PHOTOS


def test_real_cifar10_names_its_ten_classes(real_data):
    from clusterkit.datasets.cifar import files
    from clusterkit.datasets.images import class_files

    tree = class_files(files(real_data, "cifar10", "test")[0])
    assert list(tree)[:3] == ["airplane", "automobile", "bird"]
    assert [len(members) for members in tree.values()] == [1000] * 10
