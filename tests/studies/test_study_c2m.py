"""The study of critics, on a few sets of points with short trainings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from clusterkit.config import Context, Recipe
from clusterkit.critic.search import Search
from clusterkit.studies import c2m
from clusterkit.studies.common import searches
from clusterkit.studies.common.published import find
from clusterkit.studies.common.tables import where
from tests.stages.test_train_critic import patched
from tests.study_files import check_files

TRIALS = [*c2m.TRIALS.items()]
"""The parts of the study as they are."""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(monkeypatch)
    monkeypatch.setattr(searches, "EFFORT", Search(population=10, iterations=2, improved=1))
    monkeypatch.setitem(
        c2m.TRIALS, "points", c2m.Trial(learned={"blobs": "blobs_bg"}, tested={"blobs": "blobs_eval"}, k=6)
    )
    monkeypatch.setattr(c2m.Work, "mislabelled", lambda self: {"blobs": [(0.0, 1.0), (3.0, 0.5)]})


def test_critics_beside_rivals_and_judges(cli) -> None:
    line = "reproduce c2m --part points --sets 2 --json"
    done = cli(line)
    assert done.code == 0, done.err
    assert "Graph is not fully connected" not in done.err
    rows = check_files("c2m", c2m.C2mStudyOptions(part=("points",), sets=2))
    accs = where(rows, metric="acc", set="blobs")
    assert [row.loss for row in where(accs, method="c2m")] == [*c2m.VARIANTS, c2m.SEARCHED]
    assert {row.method for row in accs} == {*c2m.RIVALS, "c2m", "judge"}
    assert [row.published for row in where(accs, method="c2m")] == [0.984, 0.973, 0.984, 0.973, None]
    [oracle] = where(accs, method="judge", loss="oracle")
    assert all(oracle.value >= row.value for row in where(accs, method="judge"))
    [known] = where(accs, method="kmeans")
    assert known.value > 0.9
    assert where(accs, method="c2m", loss="")[0].value > 0.7
    text = Path("clusterkit-out/c2m/c2m.md").read_text()
    assert "| critic of blobs, paper, few |" in text
    assert "(0.984)" in text
    again = cli(f"{line} --resume")
    assert json.loads(again.out)["rows"] == json.loads(done.out)["rows"]
    assert again.err.count("kept, because an earlier run") == 4


def test_an_interrupted_study_goes_on(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "reproduce c2m --part points --sets 1"

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(searches, "by_critic", interrupted)
        assert cli(line).code == 130
    calls: list[str] = []
    monkeypatch.setattr(searches, "by_rival", lambda *args: calls.append("rival"))
    done = cli(f"{line} --resume")
    assert done.code == 0, done.err
    assert calls == []
    assert cli(f"{line} --resume --part nothing").code == 2


def test_items_that_critics_learn_are_not_searched() -> None:
    context = Context(data=Path("nowhere"))
    tests = searches.test_sets("digits", 3, 40, context, own=True)
    whole = searches.test_sets("digits", 3, 40, context, own=False)
    assert [len(each.labels) for each in tests] == [40] * 3
    assert all((np.bincount(each.labels) > 1).all() for each in tests)
    assert not np.array_equal(tests[0].values, whole[0].values)


def test_the_truth_is_counted_among_the_best_of_a_critic_that_knows_it() -> None:
    [each] = searches.test_sets("blobs_eval", 1, None, Context(data=Path("nowhere")), own=False)

    class Judge:
        """A critic that prefers the truth, or anything else."""

        def __init__(self, sign: float) -> None:
            self.sign = sign

        def read(self, values: torch.Tensor) -> object:
            from clusterkit.critic.embedding import point_set

            return point_set(values.float())

        def scores(self, points: object, rows: torch.Tensor) -> torch.Tensor:
            from clusterkit.critic.fakes import ari_of

            return self.sign * ari_of(rows, torch.from_numpy(each.labels)).float()

    effort = Search(k=9, recipe=Recipe.PAPER, population=4, iterations=1)
    knowing, fooled = (searches.of_search(Judge(sign), each, effort) for sign in (1.0, -1.0))
    assert (knowing["first"], knowing["third"]) == (1, 1)
    assert (fooled["first"], fooled["third"]) == (0, 0)


def test_mislabelled_copies_have_as_many_wrong_labels() -> None:
    labels = torch.arange(30) % 3
    for number in (0, 7, 30):
        changed = searches.changed(labels, number, 3, torch.Generator().manual_seed(0))
        assert int((changed != labels).sum()) == number


@pytest.mark.parametrize(("name", "trial"), TRIALS)
def test_every_part_has_published_figures(name: str, trial: c2m.Trial) -> None:
    figures = [
        find(("C2M",), set=tested, subset=learned, method="c2m", loss=few, metric="acc")
        for learned in trial.learned
        for tested in trial.tested
        for few in ("", "few")
    ]
    # The paper has no figure of few sets of characters.
    assert [figure for figure in figures if figure is None] == [None] * (name == "omniglot")
