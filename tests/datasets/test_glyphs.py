from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from clusterkit.config import Kind
from clusterkit.datasets import glyphs
from clusterkit.datasets.base import Dataset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.metrics.clustering import accuracy

NOWHERE = Path("nowhere")


@pytest.fixture(scope="module")
def evaluation() -> Dataset:
    return load_dataset("glyphs_eval", NOWHERE)


def test_evaluation_has_three_alphabets_of_twenty_characters_by_twenty_writers(evaluation: Dataset) -> None:
    assert [subset.name for subset in evaluation.subsets] == ["Morwen", "Nastric", "Ostrava"]
    assert evaluation.kind is Kind.CHARACTERS
    assert evaluation.shape == (1, 32, 32)
    assert evaluation.classes[0] == "Morwen/character01"
    assert len(evaluation.classes) == 60
    assert evaluation.labels is not None
    assert torch.bincount(evaluation.labels).tolist() == [20] * 60
    assert all(len(subset) == 400 for subset in evaluation.subsets)


def test_background_has_twelve_alphabets_and_points_at_the_evaluation_set() -> None:
    background = load_dataset("glyphs_bg", NOWHERE)
    assert (len(background), len(background.subsets), len(background.classes)) == (4800, 12, 240)
    assert background.target == "glyphs_eval"
    images = background.union().images
    assert isinstance(images, torch.Tensor)
    assert images.dtype == torch.uint8
    assert (images.amax((1, 2, 3)) > 200).all(), "every image holds ink"
    assert images[:, :, 0].float().mean() < 10, "the border is dark"


def test_images_are_the_same_everywhere(evaluation: Dataset) -> None:
    assert evaluation.fingerprint == "e7c4e02d3077ba231d70439d6885e54ce0322972cf591a51fdf2a81c2c9601c0"


def test_one_alphabet_is_the_same_as_in_the_whole_set(evaluation: Dataset) -> None:
    one = load_dataset("glyphs_eval/Nastric", NOWHERE).union()
    assert torch.equal(one.images, evaluation.subsets[1].images)
    assert torch.equal(one.ids, evaluation.subsets[1].ids)


@pytest.mark.parametrize(("size", "channels"), [(20, 1), (28, 3), (48, None)])
def test_images_have_the_size_and_channels_asked_for(size: int, channels: int | None) -> None:
    images = load_dataset("glyphs_eval/Morwen", NOWHERE, size=size, channels=channels).union().images
    assert images.shape == (400, channels or 1, size, size)
    assert torch.equal(images[:, 0], images[:, -1])


def test_kmeans_on_pixels_fails(evaluation: Dataset) -> None:
    found = []
    for subset in evaluation.subsets:
        pixels = subset.images.flatten(1).numpy().astype(np.float32) / 255
        clusters = KMeans(20, n_init=10, random_state=0).fit_predict(pixels)
        found.append(accuracy(clusters, subset.labels.numpy()))
    assert np.mean(found) <= 0.45


def test_characters_differ_within_and_across_the_alphabets() -> None:
    drawn = []
    for style in glyphs.BACKGROUND + glyphs.EVALUATION:
        for strokes in glyphs.invent(style, np.random.default_rng(style.seed)):
            owner = np.zeros(len(strokes), dtype=np.int64)
            drawn.append(glyphs.draw(strokes * 0.7, owner, np.array([0.08]), 20).ravel() / 255)
    flat = np.stack(drawn)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    likeness = flat @ flat.T
    np.fill_diagonal(likeness, 0)
    within = max(likeness[i : i + 20, i : i + 20].max() for i in range(0, 300, 20))
    assert within < 0.8
    assert likeness.max() < 0.95


def test_drawing_is_the_distance_to_the_stroke() -> None:
    stroke = glyphs.bezier(np.array([-0.5, -0.2]), np.array([0.6, 0.4]), 0.3, -0.5)[None]
    drawn = glyphs.draw(stroke, np.zeros(1, dtype=np.int64), np.array([0.05]), 32)[0]
    path = (glyphs.trace(stroke, 4000)[0] + 1) * 16 - 0.5
    for y in range(32):
        for x in range(32):
            distance = np.sqrt(((path - [x, y]) ** 2).sum(1).min())
            assert abs(drawn[y, x] - 255 * np.clip(0.05 * 32 + 0.5 - distance, 0, 1)) < 10
