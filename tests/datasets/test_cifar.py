import pickle  # noqa: TID251  the published files are pickles

import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.datasets.catalogue import load_dataset
from clusterkit.datasets.cifar import files
from clusterkit.datasets.images import class_files
from clusterkit.errors import InputError

RANDOM = np.random.default_rng(0)


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


def write_tree(place, counts):
    for name, count in counts.items():
        (place / name).mkdir(parents=True)
        for number in range(count):
            pixels = RANDOM.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / name / f"{number}.png")


def test_cifar_from_an_image_tree(tmp_path):
    write_tree(tmp_path / "cifar100" / "test", {"bee": 1, "ant": 2})
    found = load_dataset("cifar100_test", tmp_path, offline=True)
    assert found.classes == ("ant", "bee")
    assert found.labels.tolist() == [0, 0, 1]
    assert found.union().names == ("ant/0.png", "ant/1.png", "bee/0.png")


def test_an_empty_tree_is_refused(tmp_path):
    (tmp_path / "cifar10" / "train").mkdir(parents=True)
    with pytest.raises(InputError, match="no CLASS/IMAGE files"):
        load_dataset("cifar10_train", tmp_path, offline=True)


def test_real_cifar10_names_its_ten_classes(real_data):
    tree = class_files(files(real_data, "cifar10", "test")[0])
    assert list(tree)[:3] == ["airplane", "automobile", "bird"]
    assert [len(members) for members in tree.values()] == [1000] * 10
