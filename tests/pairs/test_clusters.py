import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.datasets.base import Subset
from clusterkit.pairs.clusters import CONFIRMED, HEARD, SEARCHED, SIDE, SPREADS, SURE, confirmed, nearest
from clusterkit.pairs.constraints import constrain
from clusterkit.pairs.labels import LabelPairs
from clusterkit.pairs.links import Link, closure
from clusterkit.pairs.source import CERTAIN


def slowly(prob: np.ndarray, near: np.ndarray) -> list[int]:
    own = prob.astype(float)
    belief = own
    for _ in range(SPREADS):
        cluster = belief.argmax(1)
        sure = []
        for item, number in enumerate(cluster):
            heights = [belief[other, number] for other in range(len(prob)) if cluster[other] == number]
            sure.append(belief[item, number] >= np.quantile(heights, 1 - SURE))
        after = []
        for item in range(len(prob)):
            voters = [other for other in near[item] if sure[other]][:HEARD]
            shares = [
                sum(cluster[other] == number for other in voters) / max(1, len(voters))
                for number in range(prob.shape[1])
            ]
            after.append([(own[item, number] + shares[number]) / 2 for number in range(prob.shape[1])])
        belief = np.array(after)
    return [int(np.argmax(each)) if max(each) >= CONFIRMED else -1 for each in belief]


@given(st.integers(2, 90), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_probability_and_votes_decide_together(count: int, k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    prob = random.dirichlet(np.full(k, 0.3), count).astype(np.float32)
    others = [random.permutation(np.delete(np.arange(count), item))[:SEARCHED] for item in range(count)]
    near = np.stack(others)
    assert confirmed(prob, near).tolist() == slowly(prob, near)


def test_the_neighbours_of_one_that_errs_set_it_right_or_leave_it_out() -> None:
    prob = np.zeros((40, 2), np.float32)
    prob[:20, 0] = prob[20:, 1] = 0.9
    prob[:20, 1] = prob[20:, 0] = 0.1
    near = np.array(
        [[other for other in range(40) if other != item and other // 20 == item // 20] for item in range(40)]
    )
    expected = [0] * 20 + [1] * 20
    assert confirmed(prob, near).tolist() == expected
    prob[3] = 0.45, 0.55
    assert confirmed(prob, near).tolist() == expected
    # Five neighbours of each kind, and no opinion of its own.
    near[3, :10] = [0, 1, 2, 4, 5, 20, 21, 22, 23, 24]
    prob[3] = 0.48, 0.49
    assert confirmed(prob, near)[3] == -1


def test_pairs_are_certain_within_and_across_clusters_and_unknown_elsewhere() -> None:
    pairs = LabelPairs(torch.tensor([0, 1, 0, -1]))
    every = torch.arange(4)
    same, other, unknown = CERTAIN, -CERTAIN, float("nan")
    expected = torch.tensor(
        [[same, other, same, unknown], [other, same, other, unknown], [same, other, same, unknown], [unknown] * 4]
    )
    torch.testing.assert_close(pairs.logits(every, every), expected, equal_nan=True)
    assert len(pairs.to(torch.device("cpu"))) == 4
    laid_over = constrain(pairs, closure([Link(0, 3, True, 1)], 4))
    assert laid_over.logits(every, every)[3, 0] == CERTAIN


def test_neighbours_are_the_nearest_others_by_values_or_shrunken_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(70, 3, generator=generator)
    images = torch.randint(256, (70, 2, 40, 36), generator=generator, dtype=torch.uint8)
    shrunken = torch.nn.functional.adaptive_avg_pool2d(images.double() / 255, SIDE)
    for items, values in ((vectors, vectors.double()), (images, shrunken.flatten(1))):
        distance = torch.cdist(values, values).fill_diagonal_(torch.inf)
        near = nearest(Subset("all", items, torch.arange(70), None))
        assert near.shape == (70, SEARCHED)
        assert torch.equal(torch.from_numpy(near), distance.argsort(1)[:, :SEARCHED])
    assert nearest(Subset("all", vectors[:5], torch.arange(5), None)).shape == (5, 4)
