"""Stages that the command line runs first because a later stage needs their files."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clusterkit import console
from clusterkit.config import (
    G_FILE,
    PAIRS_FILE,
    ClusterConfig,
    Context,
    PredictPairsConfig,
    Recipe,
    SelfTrainConfig,
)
from clusterkit.errors import InputError, UsageError
from clusterkit.methods import METHODS, reads_pairs
from clusterkit.reading import OWN_DATA, Reading
from clusterkit.settings import CountedBy, OnlyConstraints, Pairs

if TYPE_CHECKING:
    from clusterkit.artifacts.header import Header

SELF_TRAINED = "self-trained.safetensors"
"""The G that `self-train` writes."""


def check_names(*names: str | None) -> None:
    """Raise UsageError or InputError for a name that is no data set, before a missing network is reported."""
    from clusterkit.datasets.catalogue import PREFIXES, parse
    from clusterkit.datasets.meant import check_kind

    for text in names:
        if text is None:
            continue
        name = parse(text)
        check_kind(name.source, name.argument, PREFIXES)
        if name.source in OWN_DATA and not Path(name.argument).expanduser().exists():
            raise InputError(f"data set '{text}': no such file or folder; check the path")


def check_named(config: ClusterConfig, context: Context) -> None:
    """Raise UsageError for a joint training if neither the command nor the pairs or G of the work folder name T."""
    if config.dataset is None and METHODS[config.method].joint and not has_pairs_or_g(context):
        raise UsageError(f"name the data set: clusterkit cluster DATASET --method {config.method}")


def has_pairs_or_g(context: Context) -> bool:
    return any(context.path(name).exists() for name in (PAIRS_FILE.name, G_FILE))


def alone_without_g(config: ClusterConfig, context: Context) -> ClusterConfig:
    """Return a clustering by the constraints alone if it names a set, but the work folder has neither pairs nor a G."""
    if not config.has_links or config.dataset is None or "pairs" in context.given or has_pairs_or_g(context):
        return config
    if not reads_pairs(config):
        return config
    return replace(config, pairs=OnlyConstraints())


def ensure_pairs(
    pairs: Pairs,
    dataset: str | None,
    context: Context,
    *,
    needed: bool = True,
    reader: ClusterConfig | None = None,
    self_train: bool | None = None,
) -> list[str]:
    """Predict the pairs of the work folder if they are missing, or if earlier automatic pairs do not fit.

    Pairs that the user predicted, or names with `--pairs`, are never replaced. The stage that reads them reports what
    does not fit. Several processes predict pairs together. The flags, constraints and K of the clustering that will be
    the `reader` of the pairs are checked before. With `self_train`, a G of characters by the best recipe is first
    trained further on the set; with None, earlier pairs by such a G fit too. Returns the warnings of both stages.
    """
    if pairs != PAIRS_FILE or "pairs" in context.given or not needed:
        return []
    given, context = context.given, replace(context, given=frozenset(), reading=context.reading.unlabelled)
    from clusterkit.artifacts.hdf5 import read_header
    from clusterkit.datasets.catalogue import check_place, parse
    from clusterkit.datasets.current import is_of_same_data
    from clusterkit.datasets.overlap import covers
    from clusterkit.distributed import wait_for_all
    from clusterkit.stages import predict_pairs

    path, g = context.path(PAIRS_FILE.name), predictor(context, self_train=bool(self_train))
    reason = "there are none yet"
    if path.exists():
        header = read_header(path, "pairs")
        if not header.config.get("automatic"):
            return []
        name, reading = header.dataset["name"], Reading.recorded(header.dataset).unlabelled
        if dataset is None:
            check_place(name, path)
            dataset, context = name, replace(context, reading=reading)
        pairs_of = f"those of {' '.join([name, *reading.flags()])}"
        reason = f"{pairs_of} no longer fit"
        if covers(name, dataset) and context.reading.of(parse(dataset).source) == reading:
            accepts_both = self_train is None and header.config.get("g") == SELF_TRAINED
            if other := other_g(header, SELF_TRAINED if accepts_both else g, context):
                reason = f"{pairs_of} are by {other}"
            elif is_of_same_data(header, context):
                return []
            elif changed := changes_since(path, header, context):
                reason = f"{name}: {changed} since {path} was made"
    if reader is not None:
        check_reader(reader, dataset, replace(context, given=given))
    if context.path(G_FILE).exists():
        console.log.info("predicting pairs first (%s), as clusterkit predict-pairs does", reason)
    # No process writes before all have checked, and none reads before all has been written.
    wait_for_all()
    warnings = ensure_self_trained(dataset, context) if g == SELF_TRAINED else []
    done = predict_pairs.run(PredictPairsConfig(dataset=dataset, g=g, automatic=True), context)
    wait_for_all()
    return warnings + done.warnings


def predictor(context: Context, *, self_train: bool) -> str:
    """Return the name of the G that predicts automatic pairs: with `self_train`, the one that its recipe goes on to."""
    from clusterkit.artifacts.checkpoint import read_checkpoint
    from clusterkit.artifacts.lineage import follows_recipe

    path = context.path(G_FILE)
    if not (self_train and path.exists()):
        return G_FILE
    header = read_checkpoint(path, "g")[0]
    # A result of self-train that was renamed has been trained on its target.
    return SELF_TRAINED if follows_recipe(header) and header.stage == "train-g" else G_FILE


def other_g(pairs: "Header", g: str, context: Context) -> str:
    """Return by which other G automatic pairs are than the present one of the name `g`; "" if they are by this one.

    A self-trained G must be there and come from the present `g.safetensors`.
    """
    from clusterkit.artifacts.checkpoint import read_checkpoint
    from clusterkit.artifacts.lineage import made_from

    made_by = pairs.config.get("g") or G_FILE
    path = context.path(made_by)
    if made_by != g:
        return f"{made_by}, not by {g}"
    if made_by == SELF_TRAINED and not path.is_file():
        return f"{made_by}, which is gone"
    if not made_from(pairs, "g", path):
        return f"an earlier {made_by}"
    if made_by == SELF_TRAINED and not made_from(read_checkpoint(path, "g")[0], "g", context.path(G_FILE)):
        return f"{made_by}, which was made from an earlier {G_FILE}"
    return ""


def check_no_self_train(config: ClusterConfig, context: Context) -> None:
    """Raise UsageError for `--no-self-train` where nothing is trained further without it; log where only G decides it.

    A command line for any G may have the flag, but the user's own pairs are read as they are, whichever G made them.
    """
    from clusterkit.artifacts.hdf5 import read_header
    from clusterkit.networks.read import read_g

    is_file = config.pairs == PAIRS_FILE and "pairs" not in context.given
    if config.recipe is Recipe.PAPER:
        raise UsageError("--no-self-train: --recipe paper trains no G further; leave one of them out")
    if is_file and not reads_pairs(config) and config.k is not CountedBy.ESTIMATE and config.dataset is None:
        raise UsageError("--no-self-train: pairs only name the set here, so self-train does not run; leave it out")
    if not is_file or not (reads_pairs(config) or config.k is CountedBy.ESTIMATE):
        raise UsageError("--no-self-train: this command predicts no pairs; leave it out")
    path, g = context.path(PAIRS_FILE.name), context.path(G_FILE)
    if path.exists() and not (header := read_header(path, "pairs")).config.get("automatic"):
        maker = header.config.get("g", G_FILE)
        trained = ", which self-train trained further" if is_self_trained(header, path) else ""
        raise UsageError(
            f"--no-self-train: {path} is a file of yours, so no pairs are predicted; it is by {maker}{trained}; leave "
            "the flag out, or remove the file to have pairs predicted again"
        )
    if not g.exists():
        return
    if read_g(g)[1].architecture.backbone is None:
        raise UsageError(f"--no-self-train: {g} is a metric, which self-train does not train; leave it out")
    if predictor(context, self_train=True) == G_FILE:
        console.log.info("--no-self-train changes nothing: cluster never trains %s further", g)


def is_self_trained(pairs: "Header", path: Path) -> bool:
    """Return whether the G that predicted pairs was trained further, as far as its name or the file beside tells."""
    from clusterkit.artifacts.checkpoint import read_checkpoint
    from clusterkit.artifacts.lineage import g_of, made_from

    g = g_of(pairs, path)
    if g.name == SELF_TRAINED:
        return True
    return g.is_file() and made_from(pairs, "g", g) and read_checkpoint(g, "g")[0].stage == "self-train"


def ensure_self_trained(dataset: str | None, context: Context) -> list[str]:
    """Train the G of the work folder further on T, unless `self-trained.safetensors` is already such a G.

    Raises InputError for a file that the user made from another set or G, for one that self-train did not make, and
    where the training is impossible. Returns the warnings of self-train.
    """
    from clusterkit.artifacts.checkpoint import read_checkpoint
    from clusterkit.artifacts.lineage import again, target_of
    from clusterkit.datasets.catalogue import parse
    from clusterkit.distributed import wait_for_all
    from clusterkit.stages import self_train

    path = context.path(SELF_TRAINED)
    name = target_of(read_checkpoint(context.path(G_FILE), "g")[0], dataset)
    if path.exists():
        header = read_self_trained(path)
        problem = misfit(header, name, context)
        if not problem:
            return []
        if not header.config.get("automatic"):
            wanted = replace(header, config={**header.config, "dataset": name, "g": G_FILE})
            command = again(wanted, path, reading=context.reading.of(parse(name).source))
            raise InputError(f"{path}: {problem}; run: {command}, or add --no-self-train")
    console.log.info(
        "training G further on %s first, as clusterkit self-train does (--no-self-train leaves it out)", name
    )
    wait_for_all()
    try:
        done = self_train.run(SelfTrainConfig(dataset=name, automatic=True), context)
    except InputError as error:
        raise InputError(f"{error}; --no-self-train leaves this training out") from error
    wait_for_all()
    return done.warnings


def read_self_trained(path: Path) -> "Header":
    """Return the header of `self-trained.safetensors`. Raises InputError for a file that self-train did not make."""
    from clusterkit.artifacts.checkpoint import read_checkpoint

    advice = "remove it, or add --no-self-train"
    try:
        header = read_checkpoint(path, "g")[0]
    except InputError as error:
        # No other file can be named here, and self-train may need other flags than its usual ones.
        raise InputError(f"{str(error).rpartition(';')[0]}; {advice}") from error
    if "self_trained_on" not in header.extra:
        raise InputError(f"{path}: was made by {header.stage}, not by self-train; {advice}")
    return header


def misfit(header: "Header", name: str, context: Context) -> str:
    """Return why a G of self-train is not one of the set `name` and the present `g.safetensors`; "" if it is."""
    from clusterkit.artifacts.lineage import made_from
    from clusterkit.datasets.catalogue import parse
    from clusterkit.datasets.current import is_of_same_data
    from clusterkit.datasets.overlap import covers

    target = header.extra["self_trained_on"]
    before, now = Reading.recorded(target).unlabelled, context.reading.of(parse(name).source)
    if not covers(target["name"], name) or before != now:
        sets = [" ".join([title, *reading.flags()]) for title, reading in ((target["name"], before), (name, now))]
        return f"was trained further on {sets[0]}, not on {sets[1]}"
    if not made_from(header, "g", context.path(G_FILE)):
        return f"was made from another {G_FILE} than the present one"
    if is_of_same_data(header, context):
        return ""
    labelled = replace(header, extra={key: value for key, value in header.extra.items() if key != "self_trained_on"})
    changed = target["name"] if is_of_same_data(labelled, context) else header.dataset["name"]
    return f"the content of {changed} has changed since this file was made"


def changes_since(pairs: Path, header: "Header", context: Context) -> str:
    """Return how many files are new and gone since pairs were predicted; "" if their file does not record it."""
    from clusterkit.artifacts.hdf5 import read_hdf5
    from clusterkit.datasets.catalogue import load_recorded
    from clusterkit.datasets.grown import DIGEST, changes

    _, groups = read_hdf5(pairs, "pairs")
    return changes(load_recorded(header.dataset, context), (group.get(DIGEST) for group in groups.values()))


def check_reader(config: ClusterConfig, dataset: str | None, context: Context) -> None:
    """Raise InputError or UsageError for flags, links of the user or a K that do not fit G or the set of the pairs."""
    from clusterkit.artifacts.lineage import follows_recipe, target_of
    from clusterkit.features.load import load_dataset, load_like
    from clusterkit.methods.common.number import number_of_clusters
    from clusterkit.methods.common.suited import suited
    from clusterkit.networks.read import read_g
    from clusterkit.pairs.user_links import read_user_links

    header, g = read_g(context.path(G_FILE))
    suited(config, context, by_metric=g.architecture.backbone is None, by_recipe=follows_recipe(header))
    name = target_of(header, dataset)
    if not (config.has_links or isinstance(config.k, int)):
        return
    if header.dataset.get("features"):
        # The images suffice for these checks, before their features are computed.
        data = load_dataset(name, context, whole=True)
    else:
        data = load_like(name, g.architecture.shape, context, header.dataset)
    known = read_user_links(config.constraints, config.examples, data)
    if isinstance(config.k, int):
        for subset in data.subsets:
            # A single item has no pairs, which predict-pairs reports.
            if len(subset) > 1:
                number_of_clusters(config, subset, data.name, {}, known.fewest(subset.name))
