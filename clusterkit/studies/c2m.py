"""Learn critics of clusterings, and search by them (C2M, tables 2 to 5, figure 2).

Trains critics by each recipe, on many small sets and on few, and searches other sets with each: points in the plane;
digits, letters and clothes, from each to each; written digits, from house numbers (SVHN); and the alphabets of
Omniglot. Beside them stand k-means and spectral clustering with the true K, HDBSCAN, and the K with the best
silhouette; and critics as judges among simple clusterings. Scores that need the truth say how often a critic prefers
it. Writes c2m.md, c2m.json, results.csv and mislabelled.png. All files are in the folder c2m of --workdir.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from clusterkit import console
from clusterkit.config import Context, Recipe, TrainCriticConfig
from clusterkit.errors import InputError
from clusterkit.metrics.rows import Row
from clusterkit.settings import Flag, Options
from clusterkit.studies.common import runs
from clusterkit.studies.common.driver import Outcome, Study
from clusterkit.studies.common.published import find
from clusterkit.studies.common.tables import Heading, Part, Rows, Table, where

if TYPE_CHECKING:
    from clusterkit.states import StateFolder
    from clusterkit.studies.common.searches import Sets

EXAMPLE = "Example: clusterkit reproduce c2m --part points --sets 10"

PICTURE = "mislabelled.png"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Critics that learn from each set of `learned` and search each set of `tested`, up to K clusters.

    A subset of a tested set is one test, unless `points` are drawn from all of the set for each. `heading` is that of
    the tables, by default the name of the part.
    """

    learned: dict[str, str]
    tested: dict[str, str]
    k: int = 50
    points: int | None = None
    heading: str | None = None


TRIALS = {
    "points": Trial(
        learned={"blobs": "blobs_bg"},
        tested={name: f"{name}_eval" for name in ("blobs", "anisotropic", "circles", "moons")},
    ),
    "images": Trial(
        learned={"digits": "mnist_test", "letters": "emnist_letters_test", "fashion": "fashion_mnist_test"},
        tested={"digits": "mnist_test", "letters": "emnist_letters_test", "fashion": "fashion_mnist_test"},
        points=1000,
    ),
    "svhn": Trial(learned={"svhn": "svhn_train"}, tested={"mnist": "mnist_test"}, points=1000, heading="SVHN to MNIST"),
    "omniglot": Trial(learned={"omniglot": "omniglot_bg"}, tested={"omniglot": "omniglot_eval"}, k=100),
}
VARIANTS = {
    "": (Recipe.BEST, False),
    "few": (Recipe.BEST, True),
    "paper": (Recipe.PAPER, False),
    "paper, few": (Recipe.PAPER, True),
}
"""The recipe of a critic, and whether it learns from few sets, by the name of the variant."""
SEARCHED = "cross-entropy method alone"
"""The variant in which the first critic is searched as the paper does."""
RIVALS = {
    "kmeans": "k-means, K known",
    "spectral": "spectral, K known",
    "hdbscan": "HDBSCAN",
    "silhouette": "k-means, K by silhouette",
}
JUDGES = {"critic": "critic", "silhouette": "silhouette", "calinski_harabasz": "Calinski-Harabasz", "oracle": "labels"}
"""What chooses among simple clusterings; `oracle` takes the one with the best ACC, by the labels."""


@dataclass(frozen=True, kw_only=True)
class C2mStudyOptions(Options):
    part: Annotated[
        tuple[str, ...] | None,
        Flag(help="Part of the study; may be repeated.", choices=TRIALS, metavar="NAME", default="all at hand"),
    ] = None
    sets: Annotated[int, Flag(help="Most sets of each kind to search.", min=1)] = 50


def run(options: C2mStudyOptions, context: Context) -> Outcome:
    """Return the scores of each critic and rival, by the sets learned from and searched."""
    from clusterkit.artifacts.header import resolved
    from clusterkit.artifacts.lineage import run_key
    from clusterkit.report.mislabelled import write_mislabelled
    from clusterkit.states import StateFolder

    names = {name: [*trial.learned.values(), *trial.tested.values()] for name, trial in TRIALS.items()}
    parts = runs.parts_at_hand("part", options.part, names, context)
    states = StateFolder(context.path(PICTURE), context.resume)
    states.check_key(run_key("c2m", resolved(options), context.seed))
    rows: list[Row] = []
    panels: dict[str, list[tuple[float, float]]] = {}
    for name in parts:
        work = Work(name, content_of(names[name], context), TRIALS[name], options, states, context)
        rows += work.rows()
        if name == "points":
            panels = work.mislabelled()
    files: dict[str, Callable[[Path], None]] = {PICTURE: partial(write_mislabelled, panels)} if panels else {}
    facts = {
        "parts": list(parts),
        "uses_target_labels": "number of classes, for the rivals with K known; choice of the best simple clustering",
    }
    return Outcome(rows, facts, files, states.remove)


def content_of(names: list[str], context: Context) -> str:
    """Return a hash of the items and labels of data sets."""
    from clusterkit.artifacts.lineage import run_key
    from clusterkit.datasets.catalogue import load_dataset

    data = (load_dataset(each, context.data, offline=context.offline, reading=context.reading) for each in names)
    return run_key(*(each.to_learned() for each in data))


@dataclass(frozen=True)
class Work:
    """The runs of one part of the study on sets of this content, and the critics that it has `trained`, by title."""

    name: str
    content: str
    trial: Trial
    options: C2mStudyOptions
    states: "StateFolder"
    context: Context
    trained: dict[str, Path] = field(default_factory=dict)

    def rows(self) -> list[Row]:
        """Return the scores of all critics, rivals and judges on all sets, means over the sets of a kind."""
        from clusterkit.studies.common import searches

        tests = {name: self.test_sets(name) for name in self.trial.tested}
        rows: list[Row] = []
        for tested, sets in tests.items():
            for rival in RIVALS:
                found = self.kept(f"{tested}-{rival}", partial(searches.by_rival, rival, sets(), self.trial.k))
                rows += self.scored(found, tested, "", rival, "")
        for learned in self.trial.learned:
            for variant in VARIANTS:
                path = self.critic(learned, variant)
                for tested, sets in tests.items():
                    title = f"{learned}-{variant or 'best'}-{tested}"
                    found = self.kept(title, partial(searches.by_critic, path, sets(), self.trial.k))
                    rows += self.scored(found, tested, learned, "c2m", variant)
            path = self.critic(learned, "")
            for tested, sets in tests.items():
                alone = partial(searches.by_critic, path, sets(), self.trial.k, recipe=Recipe.PAPER)
                rows += self.scored(self.kept(f"{learned}-alone-{tested}", alone), tested, learned, "c2m", SEARCHED)
                judged = self.kept(f"{learned}-judge-{tested}", partial(searches.judged, path, sets(), self.trial.k))
                for judge in JUDGES:
                    scores = [{name: one[f"{judge} {name}"] for name in ("acc", "clusters")} for one in judged]
                    rows += self.scored(scores, tested, learned, "judge", judge)
        return rows

    def critic(self, learned: str, variant: str) -> Path:
        """Train a critic, once and unless it is kept; return its path."""
        recipe, few = VARIANTS[variant]
        config = TrainCriticConfig(dataset=self.trial.learned[learned], recipe=recipe, few=few)
        title = "-".join([learned, *variant.replace(",", "").split()])
        if title not in self.trained:
            self.trained[title] = runs.run_stage(config, runs.subfolder(self.context, title))
        return self.trained[title]

    def test_sets(self, tested: str) -> "Callable[[], Sets]":
        """Return a function that reads the sets of a kind once, when they are needed."""
        from functools import cache

        from clusterkit.studies.common import searches

        data = self.trial.tested[tested]
        own = data in self.trial.learned.values()
        return cache(partial(searches.test_sets, data, self.options.sets, self.trial.points, self.context, own=own))

    def kept(self, title: str, compute: Callable[[], list[dict[str, float]]]) -> list[dict[str, float]]:
        """Return the scores of each set, which an interrupted study has left or which are computed now."""
        from clusterkit.artifacts.files import write_text

        path = self.states.path / f"{self.name}-{title}-{self.content[:16]}.json"
        if path.exists():
            try:
                kept: list[dict[str, float]] = json.loads(path.read_text())
            except ValueError as error:
                raise InputError(f"{path}: damaged; start again without --resume") from error
            return kept
        found = compute()
        write_text(path, json.dumps(found))
        acc = sum(one["acc"] for one in found) / len(found) if "acc" in found[0] else None
        console.log.info("c2m: %s%s", title, "" if acc is None else f": ACC {acc:.3f}")
        return found

    def scored(self, found: list[dict[str, float]], tested: str, learned: str, method: str, variant: str) -> list[Row]:
        """Return the means of the scores of sets as rows, with the published figures of the same training."""
        rows = []
        for metric in found[0]:
            value = round(sum(one[metric] for one in found) / len(found), 4)
            published = None
            if method == "c2m" and variant != SEARCHED:
                few = "few" if VARIANTS[variant][1] else ""
                published = find(("C2M",), set=tested, subset=learned, method="c2m", loss=few, metric=metric)
            row = Row(set=tested, subset=learned, method=method, loss=variant, metric=metric, value=value)
            rows.append(replace(row, published=published, seed=self.context.seed))
        return rows

    def mislabelled(self) -> dict[str, list[tuple[float, float]]]:
        """Return by panel the numbers of mislabelled points of copies of a set, and their scores (figure 2)."""
        from clusterkit.studies.common import searches

        [learned] = self.trial.learned
        panels = {}
        for recipe, variant in (("best", ""), ("paper", "paper")):
            path = self.critic(learned, variant)
            for tested in ("anisotropic", "moons"):
                sets = self.test_sets(tested)
                scores = searches.mislabelled(path, sets()[0], self.context.seed)
                panels[f"{tested}, --recipe {recipe}"] = scores
        return panels


def document(options: C2mStudyOptions, outcome: Outcome) -> list[Part]:
    """Return a table of the searches and one of the judges for each part."""
    parts: list[Part] = [
        Heading("Critics of clusterings (C2M)", 1),
        f"Means over at most {options.sets} sets of each kind. Published figures are in brackets; rows of both recipes "
        "have the same. `first` is how often the critic scores the truth at least as high as what its search finds, "
        "and `third` how often fewer than three of this and the simple clusterings are above the truth.",
    ]
    for name in outcome.facts["parts"]:
        trial = TRIALS[name]
        rows = [row for row in outcome.rows if row.set in trial.tested]
        parts += [Heading(trial.heading or name.capitalize()), searched(rows, trial), judges(rows, trial)]
    if "points" in outcome.facts["parts"]:
        parts += [Heading("Mislabelled points (figure 2)"), f"![Scores by the number of mislabelled points]({PICTURE})"]
    return parts


METRICS = {"acc": "ACC", "nmi": "NMI", "clusters": "clusters", "first": "first", "third": "third"}


def searched(rows: Rows, trial: Trial) -> Table:
    """Return the table of critics and rivals: a line for each, the columns of each kind of set."""
    lines = []
    for learned in trial.learned:
        for variant in (*VARIANTS, SEARCHED):
            cells = [
                cell(where(rows, set=tested, subset=learned, method="c2m", loss=variant)) for tested in trial.tested
            ]
            lines.append([f"critic of {learned}{f', {variant}' if variant else ''}", *flat(cells)])
    for rival, title in RIVALS.items():
        cells = [cell(where(rows, set=tested, method=rival)) for tested in trial.tested]
        lines.append([title, *flat(cells)])
    head = [f"{tested} {title}" for tested in trial.tested for title in METRICS.values()]
    return Table(["method", *head], lines)


def cell(rows: Rows) -> list[str]:
    """Return the text of each metric, with its published figure in brackets."""
    texts = []
    for metric in METRICS:
        found = where(rows, metric=metric)
        if not found:
            texts.append("")
            continue
        [row] = found
        digits = 1 if metric == "clusters" else 3
        published = "" if row.published is None else f" ({row.published:.{digits}f})"
        texts.append(f"{row.value:.{digits}f}{published}")
    return texts


def flat(cells: list[list[str]]) -> list[str]:
    return [text for texts in cells for text in texts]


def judges(rows: Rows, trial: Trial) -> Table:
    """Return the table of judges: ACC and clusters of what each chooses among the same simple clusterings."""
    lines = []
    for learned in trial.learned:
        for judge, title in JUDGES.items():
            texts: list[Any] = []
            for tested in trial.tested:
                chosen = where(rows, set=tested, subset=learned, method="judge", loss=judge)
                texts += [f"{row.value:.{1 if row.metric == 'clusters' else 3}f}" for row in chosen]
            lines.append([title if judge != "critic" else f"critic of {learned}", *texts])
    # What does not learn is the same in each group.
    unique = list(dict.fromkeys(map(tuple, lines)))
    head = [f"{tested} {title}" for tested in trial.tested for title in ("ACC", "clusters")]
    return Table(["chosen by", *head], [list(line) for line in unique])


STUDY = Study(__doc__, EXAMPLE, C2mStudyOptions, ("C2M",), run, document)
