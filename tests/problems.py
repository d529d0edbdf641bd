"""Small problems of clustering, and what a method makes of them in the order in which they stand."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clusterkit.config import Backbone, ClusterConfig, Kind
from clusterkit.datasets.base import Subset
from clusterkit.methods import METHODS, CcnOptions, function_of, with_options
from clusterkit.methods.common.problem import Clustering, Items, Labelled, Problem, Question, Run
from clusterkit.methods.common.solve import problem_of
from clusterkit.pairs.source import PairSource


@dataclass(frozen=True)
class Case:
    config: ClusterConfig
    items: Items
    question: Question
    run: Run

    @property
    def options(self) -> Any:
        return self.question.options

    @property
    def problem(self) -> Problem:
        return problem_of(self.config, self.items, self.question, self.run)

    def by(self, method: str, **options: Any) -> "Case":
        """The same for another method; options are those of this one where it is the same method."""
        config = with_options(ClusterConfig(method=method, features=self.config.features))
        kept = self.options if method == self.config.method else config.options
        return replace(self, config=config, question=replace(self.question, options=replace(kept, **options)))

    def having(self, **changes: Any) -> "Case":
        """The same with other `k`, `pairs`, `features`, `subset`, `shape`, `g`, `start` or `seed`."""
        of_items = {name: changes.pop(name) for name in ("subset", "shape", "g", "start") if name in changes}
        asked = {name: changes.pop(name) for name in ("k", "pairs") if name in changes}
        return Case(
            replace(self.config, **{name: changes.pop(name) for name in ("features",) if name in changes}),
            replace(self.items, **of_items),
            replace(self.question, **asked),
            replace(self.run, **changes),
        )

    def clustered(self) -> Clustering:
        function = function_of(self.config.method)
        if METHODS[self.config.method].trains:
            result = function(self.items, self.question, self.run)
        else:
            result = function(self.problem)
        assert isinstance(result, Clustering)
        return result


def case(
    method: str, x: Tensor, pairs: PairSource | None, k: int, folder: Path, labels: Tensor | None = None,
    source: tuple[Tensor, Tensor] | None = None, **options: Any,
) -> Case:  # fmt: skip
    """Vectors (N, D) to sort into K clusters; ccn has a small network and few epochs unless options say otherwise.

    `source` are the items and labels of the labelled set of a joint training.
    """
    config = with_options(ClusterConfig(method=method))
    brief: dict[str, Any] = {"backbone": Backbone.MLP, "epochs": 1} if isinstance(config.options, CcnOptions) else {}
    if METHODS[method].joint:
        brief = {"backbone": Backbone.IDENTITY, "epochs": 50, "batch_size": 40}
    config = replace(config, options=replace(config.options, **{**brief, **options}))  # type: ignore[type-var]
    subset = Subset("all", x, torch.arange(len(x)), labels)
    labelled = None
    if source is not None:
        items, classes = source
        names = tuple(map(str, classes.unique().tolist()))
        learned = Subset("all", items, torch.arange(len(items)), classes)
        labelled = Labelled(subset=learned, kind=Kind.VECTORS, labels=classes, classes=names)
    return Case(
        config,
        Items(subset=subset, kind=Kind.VECTORS, shape=tuple(x.shape[1:]), source=labelled),
        Question(k=k, pairs=pairs, options=config.options),
        Run(seed=0, device=torch.device("cpu"), state=folder / "state", key="key"),
    )
