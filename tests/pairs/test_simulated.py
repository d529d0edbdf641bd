import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.errors import UsageError
from clusterkit.pairs.constraints import constrain
from clusterkit.pairs.labels import LabelPairs
from clusterkit.pairs.links import Link, closure
from clusterkit.pairs.simulated import RANGE, SimulatedPairs
from clusterkit.pairs.source import CERTAIN
from clusterkit.settings import NoisyPairs, parse_pairs

N = 700
LABELS = torch.arange(N) % 10
EVERY = torch.arange(N)
POSITIONS = st.lists(st.integers(0, N - 1), min_size=1, max_size=9).map(torch.tensor)


def simulated(similar: float, dissimilar: float, density: float = 1.0, seed: int = 0) -> SimulatedPairs:
    return SimulatedPairs(LABELS, similar, dissimilar, density, seed)


def uniform(seed: int, first: int = 0) -> np.ndarray:
    positions = EVERY + first
    return simulated(1, 1, seed=seed).draws(positions, positions).double().numpy() / RANGE


WHOLE = simulated(0.7, 0.9, 0.4, 3)
ALL = WHOLE.logits(EVERY, EVERY)


@given(POSITIONS, POSITIONS)
def test_a_pair_is_the_same_in_every_block_and_both_orders(rows: torch.Tensor, columns: torch.Tensor) -> None:
    found = WHOLE.logits(rows, columns)
    torch.testing.assert_close(found, ALL[rows][:, columns], equal_nan=True, rtol=0, atol=0)
    torch.testing.assert_close(found, WHOLE.logits(columns, rows).T, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize(("similar", "dissimilar", "density"), [(0.6, 0.9, 1.0), (1.0, 0.5, 0.1), (0.0, 0.25, 0.4)])
def test_the_shares_are_those_asked_for(similar: float, dissimilar: float, density: float) -> None:
    logits = simulated(similar, dissimilar, density).logits(EVERY, EVERY)
    same = LABELS[:, None] == LABELS[None]
    upper = torch.ones(N, N).triu(1).bool()
    used = ~logits.isnan()
    assert set(logits[used].tolist()) <= {CERTAIN, -CERTAIN}
    assert float(used[upper].float().mean()) == pytest.approx(density, abs=0.004)
    for recall, wanted, sign in ((similar, same, 1), (dissimilar, ~same, -1)):
        right = logits[wanted & upper & used] * sign > 0
        assert float(right.float().mean()) == pytest.approx(recall, abs=4 * 0.5 / len(right) ** 0.5)
    assert bool((logits.diagonal() == CERTAIN).all())


def test_without_errors_they_are_the_labels() -> None:
    assert torch.equal(simulated(1, 1).logits(EVERY, EVERY), LabelPairs(LABELS).logits(EVERY, EVERY))


def test_pairs_wrong_at_one_recall_are_wrong_at_a_lower_one() -> None:
    better, worse = (simulated(recall, recall).logits(EVERY, EVERY) for recall in (0.8, 0.6))
    truth = LabelPairs(LABELS).logits(EVERY, EVERY)
    assert bool((worse != truth)[better != truth].all())


@pytest.mark.parametrize(("seed", "first"), [(0, 0), (1, 0), (2**55 + 12345, 59_000)])
def test_draws_are_uniform_and_independent(seed: int, first: int) -> None:
    draws = uniform(seed, first)
    values = np.sort(draws[np.triu_indices(N, 1)])
    count = len(values)
    # The distance of Kolmogorov and Smirnov times the root of the count is above 1.95 once in a thousand times.
    assert np.abs(values - (np.arange(count) + 0.5) / count).max() * count**0.5 < 1.95
    # 4.5 standard deviations of what chance gives in a mean or a correlation, 6 in the largest of N^2 correlations.
    assert np.abs(draws.mean(1) - 0.5).max() < 4.5 * 12**-0.5 * N**-0.5
    assert np.abs(np.corrcoef(draws) - np.eye(N)).max() < 6 * N**-0.5
    assert abs(np.corrcoef(draws[:-1].ravel(), draws[1:].ravel())[0, 1]) < 4.5 / count**0.5
    assert abs(np.corrcoef(values_of(draws), values_of(uniform(seed + 1, first)))[0, 1]) < 4.5 / count**0.5


def values_of(draws: np.ndarray) -> np.ndarray:
    return draws[np.triu_indices(N, 1)]


def test_it_moves_to_a_device_and_takes_constraints() -> None:
    meta = torch.device("meta")
    some = torch.arange(3, device=meta)
    assert WHOLE.to(meta).logits(some, some).device == meta
    links = closure([Link(0, 1, False, 1)], len(WHOLE))
    found = constrain(WHOLE, links).logits(EVERY, EVERY)
    assert found[0, 1] == found[1, 0] == -CERTAIN
    assert torch.equal(found.isnan()[2:], ALL.isnan()[2:])


@pytest.mark.parametrize(
    ("text", "found"),
    [("simulated:0.6,1", (0.6, 1, 1)), ("simulated:0,.5,0.1", (0, 0.5, 0.1)), ("simulated:1,1.0,1", (1, 1, 1))],
)
def test_what_is_parsed(text: str, found: tuple[float, float, float]) -> None:
    assert parse_pairs(text) == NoisyPairs(*found)
    assert parse_pairs(str(parse_pairs(text))) == NoisyPairs(*found)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("simulated:", "SIMILAR,DISSIMILAR"),
        ("simulated:0.5", "SIMILAR,DISSIMILAR"),
        ("simulated:0.5,1,1,1", "SIMILAR,DISSIMILAR"),
        ("simulated:0.5,nan", "from 0 to 1"),
        ("simulated:-0.5,1", "from 0 to 1"),
        ("simulated:1.5,1", "SIMILAR is 1.5"),
        ("simulated:1,2", "DISSIMILAR is 2"),
        ("simulated:1,1,1.01", "DENSITY is 1.01"),
        ("simulated:1,1,0", "DENSITY is 0"),
    ],
)
def test_what_is_refused(text: str, word: str) -> None:
    with pytest.raises(UsageError, match=f"--pairs {text}: ") as raised:
        parse_pairs(text)
    assert word in str(raised.value)
