import pytest
import torch
from PIL import Image

from clusterkit.config import Kind
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.datasets.omniglot import EVALUATION_ALPHABETS
from clusterkit.errors import InputError


def test_alphabets_are_subsets_and_ink_is_bright(tmp_path):
    for number, name in enumerate(["Tengwar/character02", "Tengwar/character01", "Avesta/character01"]):
        place = tmp_path / "omniglot-py" / "images_evaluation" / name
        place.mkdir(parents=True)
        for drawing in range(2):
            Image.new("1", (105, 105), 1).save(place / f"{number}_{drawing}.png")
    found = load_dataset("omniglot_eval", tmp_path, offline=True)
    assert [subset.name for subset in found.subsets] == ["Avesta", "Tengwar"]
    assert found.classes == ("Avesta/character01", "Tengwar/character01", "Tengwar/character02")
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.union().images.max() == 0
    tengwar = load_dataset("omniglot_eval/Tengwar", tmp_path, offline=True, channels=3)
    assert tengwar.union().ids.tolist() == [2, 3, 4, 5]
    assert (tengwar.shape, tengwar.kind) == ((3, 32, 32), Kind.CHARACTERS)


def test_an_empty_tree_is_refused(tmp_path):
    (tmp_path / "omniglot-py" / "images_background").mkdir(parents=True)
    with pytest.raises(InputError, match="no alphabets here"):
        load_dataset("omniglot_bg", tmp_path, offline=True)


def test_a_real_alphabet(real_data, tmp_path):
    tree = real_data / "omniglot-py" / "images_evaluation"
    assert tuple(sorted(path.name for path in tree.iterdir())) == EVALUATION_ALPHABETS
    place = tmp_path / "omniglot-py" / "images_evaluation"
    place.mkdir(parents=True)
    (place / "Angelic").symlink_to(tree / "Angelic")
    angelic = load_dataset("omniglot_eval/Angelic", tmp_path, offline=True)
    assert torch.bincount(angelic.labels).tolist() == [20] * 20
    assert angelic.union().images.float().mean() < 64
