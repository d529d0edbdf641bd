"""The correction of features: each formula against a slow one, and the choice of its form."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from clusterkit.methods.common import correction as module
from clusterkit.methods.common.correction import Correction, learn, plain
from clusterkit.networks.calibration import calibrated, calibrated_without_labels
from clusterkit.networks.evening import (
    NEIGHBOURS,
    OWN,
    PLAIN,
    USUAL,
    Form,
    components,
    evening,
    fitted,
    nearest,
    scaled,
    within_classes,
    within_neighbourhoods,
)
from clusterkit.stages.train_g import metric_of

Values = NDArray[np.float64]
Labels = NDArray[np.int64]
D = 30


def photos(classes: range, items: int = 25, loud: float = 7, seed: int = 0) -> tuple[Values, Labels]:
    """Return features (N, D) of classes that differ in all but three directions, in which all items vary loudly."""
    centres = np.random.default_rng(7).normal(size=(40, D)) * 1.5
    centres[:, :3] = 0
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes.start, classes.stop), items)
    x = centres[labels] + generator.normal(size=(len(labels), D)) * np.r_[np.full(3, loud), np.full(D - 3, 0.7)]
    return x, labels


@pytest.fixture(scope="module")
def learned() -> Correction:
    return learn(*photos(range(8), items=15), seed=0)


@pytest.fixture
def two_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPLITS", 2)


def rows_of(x: Values, correction: Correction, *, adapted: bool = False) -> Values:
    """Return the rows z (N, D') that G gives for features (N, D), `adapted` to them or as it was learned."""
    g, items = metric_of(correction), torch.from_numpy(x)
    if adapted:
        g.take_statistics(lambda: iter([items]))
    z: Values = g.features(items).numpy()
    return z


def gain(correction: Correction, form: Form) -> float:
    worth = {worth.form: worth.acc + worth.nmi for worth in correction.worth}
    return worth[form] - worth[PLAIN]


def test_the_covariance_within_classes_is_that_of_each_item_less_the_mean_of_its_class() -> None:
    x, labels = photos(range(3), items=5)
    x, labels = np.r_[x, x[:1] + 100], np.r_[labels, 9]
    rest = np.array([row - x[labels == label].mean(0) for row, label in zip(x, labels, strict=True)])
    expected = sum(np.outer(row, row) for row in rest) / (len(x) - 4)
    assert np.allclose(within_classes(x, labels), expected, atol=1e-12)


def test_the_covariance_within_neighbourhoods_is_about_the_mean_of_the_nearest_by_cosine() -> None:
    x, _ = photos(range(3), items=10)
    z = scaled(x - x.mean(0))
    expected = np.zeros((D, D))
    for i in range(len(x)):
        others = sorted((j for j in range(len(x)) if j != i), key=lambda j: -z[i] @ z[j])[:NEIGHBOURS]
        rest = x[i] - x[others].mean(0)
        expected += np.outer(rest, rest) / len(x)
    assert np.allclose(within_neighbourhoods(x, z, seed=0), expected, atol=1e-12)


def test_neighbours_are_the_same_in_blocks() -> None:
    z = scaled(np.random.default_rng(0).normal(size=(1010, 4)))
    cosines = z @ z.T
    np.fill_diagonal(cosines, -2)
    assert [set(row) for row in nearest(z, 3)] == [set(row) for row in np.argsort(-cosines, 1)[:, :3]]


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.9])
def test_evening_is_the_inverse_square_root(strength: float) -> None:
    covariance = within_classes(*photos(range(3)))
    matrix, largest = evening(covariance, strength)
    mixed = (1 - strength) * np.eye(D) + strength * covariance
    assert np.allclose(matrix @ mixed @ matrix, np.eye(D), atol=1e-9)
    assert largest == pytest.approx(np.linalg.eigvalsh(matrix @ covariance @ matrix).max())


def test_components_are_weighted_by_their_share_above_the_noise() -> None:
    x = np.random.default_rng(0).normal(size=(400, 5)) * [5, 4, 3, 2, 1]
    x -= x.mean(0)
    matrix = components(x, 5, noise=6)
    variances = np.linalg.svd(x, compute_uv=False) ** 2 / len(x)
    assert matrix.shape == (5, 3)
    assert np.allclose(np.linalg.norm(matrix, axis=0), 1 - 6 / variances[:3])
    assert np.allclose((x @ matrix).std(0) ** 2, variances[:3] * (1 - 6 / variances[:3]) ** 2)
    assert components(x, 5, noise=1e6).shape == (5, 2)


def test_a_correction_by_classes_finds_new_classes_that_the_features_hide(learned: Correction) -> None:
    x, labels = photos(range(20, 26), seed=1)
    assert learned.form.share > 0
    assert gain(learned, learned.form) > 0.2

    def purity(z: Values) -> float:
        return float((labels[nearest(z, 10)] == labels[:, None]).mean())

    centre, matrix = fitted(x, np.zeros((0, 0)), PLAIN, seed=0)
    z = rows_of(x, learned, adapted=True)
    assert purity(z) > purity(scaled((x - centre) @ matrix)) + 0.2
    assert np.allclose(np.linalg.norm(z, axis=1), 1)


def test_no_correction_where_classes_vary_in_the_directions_in_which_others_differ() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 20)
    others = np.arange(4) // 2 != labels[:, None] // 2
    x = 3 * np.eye(4)[labels] + generator.normal(size=(80, 4)) * np.where(others, 2.5, 0.5)
    correction = learn(x, labels, seed=0)
    assert gain(correction, USUAL) < -0.2
    assert correction.form == PLAIN


def test_the_order_of_items_and_the_names_of_classes_do_not_matter(learned: Correction) -> None:
    x, labels = photos(range(8), items=15)
    order = np.random.default_rng(3).permutation(len(x))
    other = learn(x[order], labels[order] * 10 - 3, seed=0)
    assert other.form == learned.form
    assert other.worth == learned.worth
    assert (other.scale, other.bias) == pytest.approx((learned.scale, learned.bias))
    assert np.allclose(other.matrix, learned.matrix, atol=1e-8)


def test_the_items_themselves_move_centre_and_components(learned: Correction) -> None:
    x, _ = photos(range(20, 26), seed=1)
    z, moved = (rows_of(y, learned, adapted=True) for y in (x, x + 100))
    # Both differ by the rounding of float32.
    assert np.allclose(z, moved, atol=1e-5)


@pytest.mark.usefixtures("two_splits")
@pytest.mark.parametrize(("scale", "offset"), [(1e-30, 0), (1e25, 0), (1, 1e9)])
def test_the_unit_and_the_origin_of_features_do_not_matter(scale: float, offset: float) -> None:
    # Powers of two change no digits.
    scale = 2.0 ** round(np.log2(scale))
    (a, labels), (t, _) = photos(range(4), items=8), photos(range(20, 23), items=8)
    expected = rows_of(t, learn(a, labels, seed=0), adapted=True)
    z = rows_of(scale * t + offset, learn(scale * a + offset, labels, seed=0), adapted=True)
    assert np.allclose(np.linalg.norm(z, axis=1), 1)
    assert np.allclose(z, expected, atol=1e-4)


def test_classes_of_equal_items_are_labels_too() -> None:
    x, labels = np.repeat(np.eye(4), 5, axis=0), np.repeat(np.arange(4), 5)
    correction = learn(x, labels, seed=0)
    assert not correction.within.any()
    g = metric_of(correction)
    g.take_statistics(lambda: iter([torch.from_numpy(photos(range(3))[0][:, :4])]))
    assert (float(g.head.scale), float(g.head.bias)) == pytest.approx((correction.scale, correction.bias))


@pytest.mark.parametrize("classes", [1, 2])
def test_two_classes_teach_nothing(classes: int) -> None:
    x, labels = photos(range(classes))
    correction = learn(x, labels, seed=0)
    assert correction.worth == ()
    assert correction.form == OWN
    assert correction.within.size == 0


def test_classes_of_one_item_teach_nothing() -> None:
    x, _ = photos(range(5), items=3)
    assert learn(x, np.arange(len(x)), seed=0).worth == ()


@pytest.mark.parametrize("items", [1, 2, 3, 20])
def test_odd_features_give_finite_rows(learned: Correction, items: int) -> None:
    x = np.random.default_rng(0).normal(size=(items, D)).astype(np.float32)
    x[:, 4] = 3
    x[0] = 0
    for correction in (learned, plain(x, seed=0)):
        z = rows_of(x, correction, adapted=True)
        assert np.isfinite(z).all()
    assert np.isfinite([correction.scale, correction.bias]).all()


@pytest.mark.usefixtures("two_splits")
def test_equal_features_and_constant_ones_are_no_error() -> None:
    x = np.ones((9, 3))
    correction = learn(x, np.repeat(np.arange(3), 3), seed=0)
    assert (rows_of(x, correction) == 0).all()
    assert np.isfinite([correction.scale, correction.bias]).all()


@pytest.mark.usefixtures("two_splits")
def test_fewer_items_than_features_and_classes_of_very_different_size() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), [40, 10, 4, 2, 1])
    x = generator.normal(size=(57, 90)) + 6 * generator.normal(size=(5, 90))[labels]
    correction = learn(x, labels, seed=0)
    z = rows_of(x, correction)
    assert (labels[nearest(z, 1)[:-1, 0]] == labels[:-1]).mean() > 0.9


@pytest.mark.usefixtures("two_splits")
def test_a_class_with_most_of_the_items_does_not_make_all_pairs_similar() -> None:
    x, labels = photos(range(6), items=300)
    kept = np.concatenate([np.flatnonzero(labels == number)[: 300 if number == 2 else 12] for number in range(6)])
    correction = learn(x[kept], labels[kept], seed=0)
    t, _ = photos(range(20, 26), seed=1)
    z = rows_of(t, correction, adapted=True)
    similar = correction.scale * z @ z.T + correction.bias > 0
    # One pair in six is similar.
    assert similar.mean() == pytest.approx(1 / 6, rel=0.3)


def test_a_large_class_weighs_as_some_of_its_items_in_the_covariance() -> None:
    x, labels = photos(range(2), items=400)
    x, labels = x[:408], labels[:408]
    large, small = (np.cov(x[labels == label], rowvar=False) for label in (0, 1))
    assert np.allclose(within_classes(x, labels, 16), (399 / 25 * large + 7 * small) / (399 / 25 + 7), rtol=0.01)
    assert module.most_of(np.repeat(np.arange(5), [7, 3, 400, 1, 3])) == 5 * module.TIMES_MEDIAN


def splits_with(gains: dict[Form, list[float]]) -> list[dict[Form, module.Split]]:
    """Return splits in which forms exceed the others by so much in ACC, NMI and purity."""
    none = np.zeros(0), np.zeros(0, bool), np.zeros((0, 0)), np.zeros(0, np.int64)
    count = len(next(iter(gains.values())))
    return [
        {form: module.Split(*3 * (0.5 + gains.get(form, [0] * count)[split],), *none) for form in module.FORMS}
        for split in range(count)
    ]


def test_the_usual_form_stays_unless_another_is_surely_better() -> None:
    labels = Form(0.5, 1)
    assert module._chosen(splits_with({labels: [0.07, -0.03, 0, 0, 0, 0]})) == USUAL
    assert module._chosen(splits_with({labels: [0.007, 0.003, 0.005, 0.004, 0.006, 0.005]})) == USUAL
    assert module._chosen(splits_with({labels: [0.07, 0.03, 0.03, 0.07, 0.03, 0.07]})) == labels


@pytest.mark.parametrize(("form", "other"), [(PLAIN, OWN), (OWN, PLAIN)])
def test_labels_must_not_do_worse_than_none(form: Form, other: Form) -> None:
    sure = [0.007, 0.003, 0.005, 0.004, 0.006, 0.005]
    assert module._chosen(splits_with({form: sure, other: [0.001] * 6})) == form
    assert module._chosen(splits_with({form: [-value for value in sure], other: [-0.1] * 6})) == USUAL
    assert module._chosen(splits_with({form: [0.07, -0.03, 0, 0, 0, 0], other: [-0.1] * 6})) == USUAL


def test_the_error_of_a_gain_is_that_over_the_better_form_without_labels() -> None:
    own, labels = [0.1, 0.3, 0.2, 0.4, 0, 0.2], Form(0.5, 1)
    splits = splits_with({OWN: own, labels: [value + 0.01 for value in own]})
    errors = {form: module._worth(form, OWN, splits).acc_error for form in (PLAIN, labels)}
    assert errors == pytest.approx({PLAIN: np.std(own, ddof=1) / 6**0.5, labels: 0})


@pytest.mark.parametrize("most", [800, 25])
@pytest.mark.parametrize(("classes", "count"), [(3, 3), (5, 6)])
def test_no_classes_are_kept_out_twice(classes: int, count: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few items of each class in a split, other items of the same classes are no other split."""
    monkeypatch.setattr(module, "SPLIT_ITEMS", most)
    seen: list[tuple[int, ...]] = []

    def split(x: Values, labels: Labels, *_: object) -> tuple[int, ...]:
        seen.append(tuple(np.unique(labels)))
        return seen[-1]

    monkeypatch.setattr(module, "_split", split)
    for seed in range(5):
        seen.clear()
        x, labels = photos(range(classes), items=15)
        assert len(module._splits(x, labels, np.arange(classes), seed)) == count
        assert len(set(seen)) == count


@pytest.mark.usefixtures("two_splits")
def test_classes_of_one_item_are_not_counted_among_those_of_similar_pairs() -> None:
    x, labels = photos(range(8), items=15)
    alone = learn(x, labels, seed=0)
    odd = np.random.default_rng(1).normal(size=(60, D)) + x.mean(0)
    beside = learn(np.r_[x, odd], np.r_[labels, 100 + np.arange(60)], seed=0)
    assert beside.bias - alone.bias == pytest.approx(0, abs=1)


def test_calibrated_probabilities_match_the_frequencies() -> None:
    generator = np.random.default_rng(0)
    cosines = generator.uniform(-1, 1, 40000)
    similar = generator.random(40000) < 1 / (1 + np.exp(-(6 * cosines - 2)))
    scale, bias = calibrated(cosines, similar, rate=float(similar.mean()))
    assert (scale, bias) == pytest.approx((6, -2), abs=0.15)
    rare = similar & (generator.random(40000) < 0.1)
    few = rare | ~similar
    scale, bias = calibrated(cosines[few], rare[few], rate=float(rare[few].mean()))
    probabilities = 1 / (1 + np.exp(-(scale * cosines[few] + bias)))
    for low, high in ((0, 0.05), (0.05, 0.2), (0.2, 0.6)):
        there = (probabilities >= low) & (probabilities < high)
        assert rare[few][there].mean() == pytest.approx(probabilities[there].mean(), rel=0.2)


def test_pairs_that_no_cosine_tells_apart_have_the_probability_of_their_rate() -> None:
    scale, bias = calibrated(np.array([0.1, 0.1, 0.1, 0.1]), np.array([True, True, False, False]), rate=0.2)
    assert 1 / (1 + np.exp(-(scale * 0.1 + bias))) == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("k", [3, 10, 30])
def test_without_labels_the_rate_of_similar_pairs_follows_the_number_of_classes(k: int) -> None:
    z = np.repeat(np.eye(k) - 1 / k, 20, axis=0)
    scale, bias = calibrated_without_labels(scaled(z))
    assert 1 / (1 + np.exp(-(scale * 0.2 + bias))) == pytest.approx(1 / k, rel=0.01)


def test_of_many_items_without_labels_a_sample_is_read_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(120, 4))
    monkeypatch.setattr(module, "MOST", 50)
    once, again = plain(x, 0), plain(x[::-1], 0)
    np.testing.assert_array_equal(once.matrix, again.matrix)
    assert not np.allclose(once.centre, x.mean(0))
    monkeypatch.setattr(module, "MOST", 120)
    np.testing.assert_allclose(plain(x, 0).centre, x.mean(0))
