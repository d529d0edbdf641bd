"""What `train-g` and `discover` say of a correction of features."""

from typing import Any

import pytest

from clusterkit.cli.train_g import worth_of

PLAIN, OWN, EQUAL = (0, 0), (0.5, 0), (0.5, 0.5)


def summary(chosen: tuple[float, float], acc: dict[tuple[float, float], float]) -> dict[str, Any]:
    worth = [
        {"strength": strength, "share": share, "acc": value, "acc_error": 0.02}
        for (strength, share), value in acc.items()
    ]
    return {"strength": chosen[0], "share": chosen[1], "worth": worth}


@pytest.mark.parametrize(
    ("chosen", "acc", "words"),
    [
        (EQUAL, (0.7, 0.75, 0.8), "accuracy on kept-out classes of A: 0.800 with what was learned from the others, "
         "0.750 without"),
        (EQUAL, (0.79, 0.75, 0.8), "accuracy on kept-out classes of A: 0.800 with what was learned from the others, "
         "0.790 without, which may be chance"),
        (EQUAL, (0.7, 0.8, 0.75), "accuracy on kept-out classes of A: 0.750 with what was learned from the others, "
         "0.800 without, so it does not help"),
        (OWN, (0.7, 0.8, 0.75), "the labels of A do not help on its kept-out classes, so the features of the items to "
         "sort and the neighbourhoods among them decide alone: accuracy 0.800 there, 0.700 by the features as they "
         "are"),
        (PLAIN, (0.8, 0.7, 0.6), "nothing that could be learned from A helps on its kept-out classes, so the features "
         "decide alone"),
    ],
)  # fmt: skip
def test_it_says_whether_labels_help(chosen: tuple[float, float], acc: tuple[float, float, float], words: str) -> None:
    assert worth_of(summary(chosen, dict(zip((PLAIN, OWN, EQUAL), acc, strict=True))), "A") == words


@pytest.mark.parametrize(
    ("unread", "words"),
    [
        (None, "no labels of A were used (it has fewer than three classes of two items or more), so the features "
         "decide alone"),
        ("it has none", "no labels of A were used (it has none), so the features decide alone"),
    ],
)  # fmt: skip
def test_it_says_why_nothing_was_learned(unread: str | None, words: str) -> None:
    assert worth_of({"strength": 0.5, "share": 0, "worth": []}, "A", unread) == words
