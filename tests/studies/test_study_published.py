"""The published figures, which are data."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import clusterkit.studies
from clusterkit.metrics.rows import Row
from clusterkit.studies.common.published import Figure, figures, fill, find

PAPERS = {"L2C", "CCL", "SPN", "SUPREME", "DTC", "AutoNovel", "C2M"}
FILE = Path(clusterkit.studies.__file__).with_name("published.csv")


def test_every_line_is_one_figure():
    lines = list(csv.reader(FILE.read_text(encoding="utf-8").splitlines()))
    assert lines[0] == ["set", "subset", "method", "loss", "k", "metric", "value", "paper", "table"]
    assert {len(line) for line in lines} == {9}
    assert len(lines) == 1 + len(figures()) == 607
    keys = Counter((one.set, one.subset, one.method, one.loss, one.k, one.metric, one.paper) for one in figures())
    assert [key for key, count in keys.items() if count > 1] == []
    assert all(one.set and one.metric and one.table for one in figures())
    # Only its table 12 has figures of others.
    assert {one.paper for one in figures() if one.table != "12 of L2C"} == PAPERS
    assert {one.metric for one in figures() if not 0 <= one.value <= 1} == {
        "adif", "adif_clusters", "classes", "clusters", "ndc"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("paper", "key", "value"),
    [
        ("L2C", "omniglot mean ccn kcl 100 acc", 0.781),
        ("L2C", "omniglot mean skms - 100 adif_clusters", 16.3),
        ("L2C", "omniglot Tibetan ccn kcl 100 acc", 0.84),
        ("L2C", "omniglot Tibetan ccn kcl 100 ndc", 42),
        ("CCL", "omniglot mean ccn ccl known nmi", 0.897),
        ("L2C", "omniglot mean g - - 5_way", 0.979),
        ("L2C", "mnist_test mean g - - 10_way", 0.72),
        ("SPN", "mnist_test mean g - - 10_way", 0.794),
        ("L2C", "mnist_test mean g - - similar_recall", 0.509),
        ("SPN", "mnist test ccn - 10 acc", 0.990),
        ("SPN", "mnist mean spectral-pixels - known nmi", 0.386),
        ("CCL", "cifar10 mean vgg16 kcl 10 acc", 0.219),
        ("CCL", "cifar100 mean vgg8 ce 100 accuracy", 0.641),
        ("SUPREME", "cifar10 mean ccn ccl 5 acc", 0.642),
        ("SUPREME", "cifar100-10 mean supreme - 10 nmi", 0.647),
        ("SUPREME", "svhn mean ccn kcl 5 nmi", 0.001),
        ("AutoNovel", "cifar100-20 mean autonovel-incremental - 20 acc", 0.752),
        ("DTC", "omniglot mean dtc - auto acc", 0.87),
        ("C2M", "blobs blobs c2m few - acc", 0.973),
        ("C2M", "fashion letters c2m - - third", 0.867),
        ("L2C", "imagenet mean g - - dissimilar_recall", 0.992),
        ("CCL", "imagenet mean ccn ccl 100 nmi", 0.765),
        ("L2C", "svhn-mnist test ccn+ - - accuracy", 0.891),
        ("Saito et al. (2017)", "svhn-mnist test ATDA - - accuracy", 0.862),
        ("L2C", "mean target ccn++ - - accuracy", 0.785),
        ("L2C", "W to A target ResNet-50 - - accuracy", 0.606),
        ("L2C", "office31/webcam mean g - - similar_precision", 0.213),
    ],
)
def test_values_are_those_of_the_papers(paper: str, key: str, value: float):
    *name, subset, method, loss, k, metric = ["" if part == "-" else part for part in key.split(" ")]
    fields = {"set": " ".join(name), "subset": subset, "method": method, "loss": loss, "k": k, "metric": metric}
    assert find([paper], **fields) == value


def of(**fields: str) -> list[Figure]:
    return [one for one in figures() if all(getattr(one, name) == value for name, value in fields.items())]


def test_figures_of_the_alphabets_agree_with_their_means():
    classes = {one.subset: one.value for one in of(set="omniglot", metric="classes")}
    assert len(classes) == 20
    for mean in of(set="omniglot", subset="mean", k="100", metric="acc"):
        own = of(set="omniglot", method=mean.method, loss=mean.loss, k="100", metric="acc", table="5")
        assert {one.subset for one in own} == (set() if mean.loss == "ccl" else classes.keys())
        # Both are rounded.
        assert not own or np.mean([one.value for one in own]) == pytest.approx(mean.value, abs=0.0015)
    for method, metric, mean in (("skms", "clusters", "adif_clusters"), ("ccn", "ndc", "adif")):
        counts = of(set="omniglot", method=method, metric=metric)
        [adif] = of(set="omniglot", method=method, metric=mean)
        assert len(counts) == 20
        assert np.mean([abs(one.value - classes[one.subset]) for one in counts]) == pytest.approx(adif.value)


def test_rows_get_the_figure_of_the_first_paper_that_has_one():
    row = Row(set="mnist_test", subset="mean", method="g", metric="10_way", value=0.5)
    other = Row(set="elsewhere", subset="mean", method="g", metric="10_way", value=0.5)
    assert [one.published for one in fill([row, other], ("SPN", "L2C"))] == [0.794, None]
    assert [one.published for one in fill([row, other], ("L2C", "SPN"), set="mnist_test")] == [0.72, 0.72]
    [kept] = fill(fill([row], ("L2C",)), ("SPN",))
    assert kept.published == 0.72
