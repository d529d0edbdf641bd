from pathlib import Path

import torch
from sklearn.datasets import load_digits

from clusterkit.config import Kind
from clusterkit.datasets.catalogue import load_dataset


def test_digits_are_those_of_scikit_learn() -> None:
    digits = load_dataset("digits", Path("nowhere"), size=8)
    pixels, labels = load_digits(return_X_y=True)
    assert (digits.kind, digits.shape, len(digits)) == (Kind.CHARACTERS, (1, 8, 8), 1797)
    assert digits.labels.tolist() == labels.tolist()
    expected = torch.from_numpy(pixels * 255 / 16).round().to(torch.uint8)
    assert torch.equal(digits.union().images.flatten(1), expected)


def test_digits_are_scaled_and_repeated_over_the_channels() -> None:
    digits = load_dataset("digits@0,3", Path("nowhere"), channels=3)
    assert digits.shape == (3, 32, 32)
    assert set(digits.labels.tolist()) == {0, 3}
    images = digits.union().images
    assert images.dtype == torch.uint8
    assert torch.equal(images[:, 0], images[:, 2])
    small = load_dataset("digits@0,3", Path("nowhere"), size=8).union().images
    assert abs(images.float().mean() - small.float().mean()) < 2
