from pathlib import Path

import numpy as np
import pytest

from clusterkit.metrics import doubts

GOOD = {"similar_recall": 0.865, "dissimilar_recall": 0.998}


@pytest.mark.parametrize(("similar", "dissimilar"), [(0.002, 1.0), (1.0, 0.0), (0.5, 0.55), (0.05, 0.95)])
def test_a_worthless_g(similar, dissimilar):
    [text] = doubts.of_g({"similar_recall": similar, "dissimilar_recall": dissimilar})
    assert f"only {similar:.3f} of their similar pairs and {dissimilar:.3f} of the dissimilar" in text
    assert "--epochs" in text


def test_a_good_g_and_one_that_was_not_tested():
    assert doubts.of_g(GOOD) == []
    assert doubts.of_g({}) == []


def test_a_worthless_g_of_an_earlier_command():
    [text] = doubts.of_g({"similar_recall": 0.019, "dissimilar_recall": 0.999}, Path("out/g.safetensors"))
    assert text.startswith("out/g.safetensors: G is weak on classes that it has not seen: it finds only 0.019 of")


def test_pairs_that_join_nothing_or_everything():
    [text] = doubts.of_pairs("all", {"similar_rate": 0.0009}, 500)
    assert text.startswith("all: G finds only 0.45 similar partners per item")
    [text] = doubts.of_pairs("Angelic", {"similar_rate": 0.96}, 500, by_metric=True)
    assert text.endswith("learn G from a set that is more like this one, or use another --backbone")
    [text] = doubts.of_pairs("Angelic", {"similar_rate": 0.96}, 500)
    assert text.startswith("Angelic: G predicts 96 % of the pairs to be similar")
    assert "train G" in text


@pytest.mark.parametrize(("count", "categories"), [(1200, 577), (10_000, 1000), (60_000, 1091)])
def test_a_share_of_similar_pairs_that_only_many_categories_have(count, categories):
    [text] = doubts.of_pairs("all", {"similar_rate": 0.0009}, count)
    assert f"only 0.09 % of the pairs similar, as in a set of about {categories} categories of equal size" in text
    assert "if this set has far fewer" in text


def test_true_pairs_of_many_categories_give_their_number():
    [text] = doubts.of_pairs("all", {"similar_rate": 19 / (20 * 964 - 1)}, 20 * 964)
    assert "a set of about 964 categories" in text


@pytest.mark.parametrize("sizes", [(10,) * 100, (300, 300), (500, 100), (20,) * 400, (2,) * 50])
def test_true_pairs_of_ordinary_sets_give_no_warning(sizes):
    count = sum(sizes)
    rate = sum(size * (size - 1) for size in sizes) / (count * (count - 1))
    assert doubts.of_pairs("all", {"similar_rate": rate}, count) == []


def prob_of(largest: float, k: int = 26) -> np.ndarray:
    rest = (1 - largest) / (k - 1)
    return np.full((9, k), rest) + np.eye(k)[np.arange(9) % k] * (largest - rest)


@pytest.mark.parametrize(("largest", "k", "margin"), [(0.09, 26, "0.05"), (0.55, 2, "0.10"), (0.74, 2, "0.48")])
def test_an_unsure_clustering(largest, k, margin):
    [text] = doubts.of_clusters("all", prob_of(largest, k))
    assert "unsure" in text
    assert f"at most {margin} above the second" in text
    assert "--epochs" in text
    [text] = doubts.of_clusters("all", prob_of(largest, k), by_metric=True)
    assert ("--epochs" in text, "--examples" in text) == (False, True)


@pytest.mark.parametrize(("largest", "k"), [(0.71, 26), (0.76, 2), (0.6, 100)])
def test_a_sure_clustering(largest, k):
    assert doubts.of_clusters("all", prob_of(largest, k)) == []
    assert doubts.of_clusters("all", np.ones((9, 1))) == []


def test_a_clustering_that_was_surer():
    [text] = doubts.of_replaced("all", prob_of(0.95), prob_of(0.4, 5))
    assert "was 0.95 and is now 0.25" in text
    [text] = doubts.of_replaced("all", prob_of(0.45, 60), prob_of(0.51, 2))
    assert "was 0.44 and is now 0.02" in text
    assert doubts.of_replaced("all", prob_of(0.55, 2), prob_of(0.2, 60)) == [], "half is the least of two outputs"
    assert doubts.of_replaced("all", prob_of(0.95), prob_of(0.9)) == []
    assert doubts.of_replaced("all", prob_of(0.4), prob_of(0.95)) == []


@pytest.mark.parametrize(
    ("ndc", "consensus", "outputs", "words"),
    [
        (5, 1, None, ["the estimators disagree (ndc 5, consensus 1)", "recommended 1", "cluster --k N"]),
        (41, 20, None, ["the estimators disagree (ndc 41, consensus 20)"]),
        (1, 1, None, ["one category only", "recommended 1"]),
        (5, 1, 5, ["all 5 outputs are in use and the estimators disagree", "larger --k"]),
        (5, 5, 5, ["all 5 outputs are in use, so", "larger --k"]),
    ],
)
def test_estimates_that_are_not_to_be_relied_on(ndc, consensus, outputs, words):
    [text] = doubts.of_k("all", {"ndc": ndc, "consensus": consensus, "linkage": 9, "eigengap": 2}, consensus, outputs)
    for word in words:
        assert word in text


@pytest.mark.parametrize(("ndc", "consensus"), [(20, 21), (28, 35), (2, 3), (2, 2), (38, 39)])
def test_estimates_of_useful_pairs_give_no_warning(ndc, consensus):
    """The eigengap and the linkage are far off even after a successful training on Omniglot."""
    estimates = {"ndc": ndc, "consensus": consensus, "linkage": 11, "eigengap": 3}
    assert doubts.of_k("all", estimates, consensus, None) == []
