"""Cluster the characters of twenty unseen alphabets (L2C, tables 1 and 5 to 7; CCL, table 4).

Trains G on omniglot_bg and, without labels, on omniglot_eval. Predicts the pairs of omniglot_eval once, and clusters
its alphabets with each loss, K and seed. Writes omniglot.md, omniglot.json, results.csv and confusions.png. All files
are in the folder omniglot of --workdir, with one folder per run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from clusterkit import console
from clusterkit.config import ClusterConfig, Context, PredictPairsConfig, SelfTrainConfig
from clusterkit.errors import InputError, UsageError
from clusterkit.features.choice import BEST_FOR_CHARACTERS
from clusterkit.losses import Loss
from clusterkit.methods import CcnOptions, with_options
from clusterkit.metrics.rows import Row
from clusterkit.settings import CountedBy, File, Flag, Init, K, Options, parse_k
from clusterkit.studies.common import runs
from clusterkit.studies.common.driver import Outcome, Study
from clusterkit.studies.common.flags import Clusterings, GFile, Losses
from clusterkit.studies.common.published import find
from clusterkit.studies.common.tables import (
    Cell,
    Heading,
    Part,
    Rows,
    Table,
    first,
    mean,
    pivot,
    seeds,
    subsets,
    titled,
    where,
)

EXAMPLE = "Example: clusterkit reproduce omniglot --loss ccl --k 100 --seeds 1"

G = runs.OMNIGLOT_G
SELF_TRAIN, CLUSTER = SelfTrainConfig(dataset="omniglot_eval"), ClusterConfig(dataset="omniglot_eval")
BACKBONE = BEST_FOR_CHARACTERS["backbone"]
"""The backbone of clustering networks with `--init random`."""
DIGITS = "mnist_test"
SET = "omniglot"
G_NAMES = {"g": "G", "self-trained g": "self-trained"}
PAPERS = ("L2C", "CCL")
KCL_100 = {"set": SET, "method": "ccn", "loss": "kcl", "k": "100"}
"""The clustering that the papers report by alphabet."""
ESTIMATORS = ("ndc", "eigengap", "linkage", "consensus")
NEAR = 3
PICTURE = "confusions.png"


@dataclass(frozen=True, kw_only=True)
class OmniglotOptions(Options):
    g: GFile = None
    epochs: Annotated[
        int,
        Flag(help="Passes of G over omniglot_bg. train-g takes 60; more are slightly better, 30 are quicker.", min=1),
    ] = runs.OMNIGLOT_EPOCHS
    loss: Losses = (Loss.CCL, Loss.KCL)
    k: Annotated[
        tuple[K, ...],
        Flag(
            help="Number of outputs, auto, or known (an oracle, which counts the classes); may be repeated.",
            read=parse_k,
            metavar="[N|auto|known]",
        ),
    ] = (
        100,
        CountedBy.ESTIMATE,
        CountedBy.LABELS,
    )
    seeds: Clusterings = 3
    init: Annotated[
        Init, Flag(help="g: train a head on the features of G; random: train a whole network, as published.")
    ] = Init.G
    self_train: Annotated[
        bool, Flag(help="Run self-train on the unlabelled alphabets before their pairs are predicted.")
    ] = True


def run(options: OmniglotOptions, context: Context) -> Outcome:
    """Return the scores of G, before and after self-train on the alphabets, and of each clustering."""
    from clusterkit.report.confusions import write_confusions
    from clusterkit.stages import cluster

    configs = list(clusterings(options))
    for config in configs:
        cluster.check(config, context)
    g = runs.g_for(options.g, replace(G, epochs=options.epochs), context)
    rows = g_rows(g, "g", context)
    predict = PredictPairsConfig(dataset=CLUSTER.dataset)
    if options.self_train:
        self_trained = runs.run_stage(SELF_TRAIN, context)
        rows += g_rows(self_trained, "self-trained g", context)
        predict = replace(predict, g=self_trained.name)
    pairs = runs.run_stage(predict, context)
    for config in configs:
        for seed in range(context.seed, context.seed + options.seeds):
            rows += cluster_and_score(replace(config, pairs=File(str(pairs))), context, seed)
    assignments = folder(configs[0], context, context.seed).path(cluster.OUTPUT)
    write_confusions(context, assignments, worst(rows), context.path(PICTURE))
    return Outcome(rows)


def clusterings(options: OmniglotOptions) -> Iterator[ClusterConfig]:
    """Yield the settings of each K and loss."""
    ccn = with_options(CLUSTER).options
    assert isinstance(ccn, CcnOptions)
    backbone = BACKBONE if options.init is Init.RANDOM else CcnOptions.backbone
    for k in options.k:
        for loss in options.loss:
            yield replace(CLUSTER, k=k, options=replace(ccn, init=options.init, backbone=backbone, loss=loss))


def folder(config: ClusterConfig, context: Context, seed: int) -> Context:
    assert isinstance(config.options, CcnOptions)
    return runs.subfolder(context, f"{config.options.loss}-k{config.k}-seed{seed}", seed)


def cluster_and_score(config: ClusterConfig, context: Context, seed: int) -> list[Row]:
    """Cluster all alphabets in their own folder; return the scores and, unless K is known, the estimates of K."""
    inner = folder(config, context, seed)
    estimates: dict[str, dict[str, int]] = {}
    if config.k is CountedBy.ESTIMATE:
        over_clustering = replace(config, k=CLUSTER.k)
        estimates = runs.estimate_k(over_clustering, folder(over_clustering, context, seed), inner)
    runs.cluster(config, inner)
    if isinstance(config.k, int):
        estimates = runs.estimate_k(config, inner, inner)
    assert isinstance(config.options, CcnOptions)
    rows = runs.scores(inner, set=SET, method="ccn", loss=config.options.loss, k=str(config.k))
    return rows + estimate_rows(rows, estimates)


def estimate_rows(rows: Rows, estimates: dict[str, dict[str, int]]) -> list[Row]:
    """Return the rows of each estimator: K by alphabet, ADif, and the number of alphabets with an error up to NEAR."""
    classes = where(rows, metric="classes", subset=list(estimates))
    counts = [
        replace(row, metric=f"k_hat_{name}", value=float(k))
        for row in classes
        for name, k in estimates[row.subset].items()
    ]
    for name in ESTIMATORS if classes else ():
        errors = [abs(estimates[row.subset][name] - row.value) for row in classes]
        of_all = replace(classes[0], subset="mean", metric=f"adif_{name}", value=sum(errors) / len(errors))
        near = float(sum(error <= NEAR for error in errors))
        counts += [of_all, replace(of_all, metric=f"within_{NEAR}_{name}", value=near)]
    return counts


def g_rows(g: Path, method: str, context: Context) -> list[Row]:
    """Return the scores of a G on the alphabets, and its 10-way test on MNIST if that set can be read."""
    assert CLUSTER.dataset is not None
    rows = runs.g_scores(Path(g.name), CLUSTER.dataset, (5, 20), context, set=SET, method=method)
    try:
        return rows + runs.one_shot(Path(g.name), DIGITS, (10,), context, set=DIGITS, method=method)
    except (InputError, UsageError) as error:
        console.log.warning("omniglot: the 10-way test on %s is left out: %s", DIGITS, error)
        return rows


def worst(rows: Rows) -> list[str]:
    """Return the three alphabets with the lowest ACC in the first run."""
    return [row.subset for row in sorted(first_run(rows), key=lambda row: (row.value, row.subset))][:3]


def first_run(rows: Rows) -> list[Row]:
    """Return the ACC of each alphabet in the first run."""
    alphabets = subsets(where(rows, method="ccn", metric="acc"))
    return where(alphabets, loss=alphabets[0].loss, k=alphabets[0].k, seed=alphabets[0].seed)


def document(options: OmniglotOptions, outcome: Outcome) -> list[Part]:
    """Return the tables of the clusterings, of G, of each clustering by alphabet, and of the worst alphabets."""
    ccn, gs = where(outcome.rows, method="ccn"), where(outcome.rows, method=list(G_NAMES))
    means = [row for row in where(ccn, subset="mean") if row.metric != "adif" or row.k.isdecimal()]
    scores: list[tuple[str, Cell]] = [("ACC", mean("acc")), ("NMI", mean("nmi")), ("ARI", mean("ari"))]
    parts: list[Part] = [
        Heading("Omniglot", 1),
        "Scores are mean ± standard deviation over the seeds of the clustering. Published figures are in brackets.",
        "Each CCN is a head on the features of G (`--init g`), not a whole network as published."
        if options.init is Init.G
        else "",
        Heading("Mean over the alphabets (L2C, table 1; CCL, table 4)"),
        pivot(
            means,
            {"method": titled, "K": "k"},
            [*scores, ("ADif of NDC", mean("adif", digits=2)), ("seeds", seeds)],
        ),
        Heading("G (L2C, table 7)"),
        "Scores before and after `self-train` on the unlabelled alphabets." if options.self_train else "",
        g_table(where(gs, subset="mean")),
    ]
    for k in dict.fromkeys(row.k for row in ccn):
        for loss in dict.fromkeys(row.loss for row in ccn):
            parts += by_alphabet(where(ccn, k=k, loss=loss))
    pairs = where(gs, method=gs[-1].method, subset=worst(ccn))
    return [
        *parts,
        Heading("The worst alphabets"),
        f"The pairs of characters that the first run confuses most: ![two rows per pair]({PICTURE})",
        pivot(
            [row for name in worst(ccn) for row in where([*first_run(ccn), *pairs], subset=name)],
            {"alphabet": "subset"},
            [
                ("ACC", first("acc")),
                ("similar precision of G", first("similar_precision")),
                ("similar recall of G", first("similar_recall")),
            ],
        ),
    ]


def g_table(rows: Rows) -> Table:
    """Return the table of G with a line per score."""
    names = list(dict.fromkeys(row.method for row in rows))
    columns = [(G_NAMES[name], first(method=name)) for name in names]
    return pivot(
        rows,
        {"score": lambda row: row.metric if row.set == SET else f"mnist {row.metric}"},
        [*columns, ("published", first(method="g", field="published"))],
    )


def by_alphabet(rows: Rows) -> list[Part]:
    """Return the tables of one loss and K, with a line per alphabet and, unless K is known, a line per estimator."""
    title, k = titled(rows[0]), rows[0].k
    adif, near = ([f"{start}_{name}" for name in ESTIMATORS] for start in ("adif", f"within_{NEAR}"))
    errors = where(rows, metric=adif + near)
    parts: list[Part] = [
        Heading(f"{title}, K = {k}, by alphabet (L2C, tables 5 and 6: CCN with KCL at K = 100)"),
        pivot(
            subsets(rows),
            {"alphabet": "subset"},
            [
                ("characters", first("classes", digits=0)),
                ("ACC", mean("acc", brackets=False)),
                ("published", of_kcl("acc", 2)),
                ("NMI", mean("nmi")),
                *((name, mean(f"k_hat_{name}", digits=0)) for name in (*ESTIMATORS, "spread")),
                ("published", of_kcl("ndc", 0) if errors else lambda rows: ""),
            ],
        ),
    ]
    if errors:
        parts += [
            Heading(f"{title}, K = {k}: error of the number of characters", 3),
            pivot(
                errors,
                {"estimator": lambda row: row.metric.rpartition("_")[2]},
                [("ADif", mean(*adif, digits=2)), (f"alphabets within {NEAR}", mean(*near, digits=1))],
            ),
        ]
    return parts


def of_kcl(metric: str, digits: int) -> Cell:
    """Return the cell of the published figure of an alphabet for CCN with KCL at K = 100."""

    def cell(rows: Rows) -> str:
        value = find(PAPERS, **KCL_100, subset=rows[0].subset, metric=metric)
        return "" if value is None else f"{value:.{digits}f}"

    return cell


STUDY = Study(__doc__, EXAMPLE, OmniglotOptions, PAPERS, run, document)
