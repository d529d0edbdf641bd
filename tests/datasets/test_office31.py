import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.config import Kind
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError

RANDOM = np.random.default_rng(0)


def write_tree(place, counts, size=(8, 8)):
    for name, count in counts.items():
        (place / name).mkdir(parents=True)
        for number in range(count):
            pixels = RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / name / f"{number}.png")


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


def test_a_real_domain(real_data):
    webcam = load_dataset("office31/webcam", real_data, offline=True, channels=1)
    assert (len(webcam), len(webcam.classes), webcam.shape) == (795, 31, (1, 64, 64))
    assert webcam.union().ids.tolist() == list(range(3315, 4110))
    assert webcam.kind is Kind.PHOTOS
