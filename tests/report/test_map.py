"""The map of items, which has one place for each and is the same every time."""

import numpy as np
import pytest

from clusterkit.report import map
from clusterkit.report.map import FEWEST, SIDE, draw

STEPS = map.STEPS
"""Those of a report: this line runs before the other tests draw with fewer."""


@pytest.fixture(autouse=True)
def _all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map, "STEPS", STEPS)


def test_groups_lie_apart_and_the_map_repeats() -> None:
    rng = np.random.default_rng(0)
    group = np.arange(120) % 3
    values = (20 * np.eye(3)[group] @ rng.normal(size=(3, 80)) + rng.normal(size=(120, 80))).astype(np.float32)
    drawn = draw(values, 3000, seed=5)
    assert drawn is not None
    chosen, places = drawn
    assert chosen.tolist() == list(range(120))
    assert ((places >= 0) & (places <= SIDE)).all()
    apart = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(120)
    assert (group[apart.argmin(1)] == group).mean() > 0.95
    again = draw(values, 3000, seed=5)
    assert again is not None
    assert (again[1] == places).all()


def test_a_large_set_is_sampled_and_a_tiny_one_has_no_map() -> None:
    rng = np.random.default_rng(0)
    drawn = draw(rng.normal(size=(90, 1)).astype(np.float32), 30, seed=0)
    assert drawn is not None
    assert len(drawn[0]) == len(set(drawn[0].tolist())) == 30
    assert draw(rng.normal(size=(FEWEST - 1, 4)).astype(np.float32), 30, seed=0) is None
    assert draw(np.ones((200, 4), np.float32), 30, seed=0) is None
