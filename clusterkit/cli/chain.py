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
    EstimateKConfig,
    PredictPairsConfig,
    SelfTrainConfig,
)
from clusterkit.errors import InputError, UsageError
from clusterkit.methods import METHODS, CcnOptions, reads_pairs
from clusterkit.reading import OWN_DATA, Reading
from clusterkit.settings import CountedBy, File, OnlyConstraints, Pairs

if TYPE_CHECKING:
    from clusterkit.artifacts.header import Header
    from clusterkit.pairs.read import PairInput

SELF_TRAINED = "self-trained.safetensors"
"""The G that `self-train` writes."""
OVER_CLUSTERED = "over-clustered"
"""The subfolder of the clustering from which `--k auto` estimates K."""


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


def alone_without_g(config: ClusterConfig, context: Context) -> ClusterConfig:
    """Return a clustering by the constraints alone if it names a set, but the work folder has neither pairs nor a G."""
    exists = any(context.path(name).exists() for name in (PAIRS_FILE.name, G_FILE))
    if not config.has_links or config.dataset is None or "pairs" in context.given or exists:
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
    self_train: bool = False,
) -> list[str]:
    """Predict the pairs of the work folder if they are missing, or if earlier automatic pairs do not fit.

    Pairs that the user predicted, or names with `--pairs`, are never replaced. The stage that reads them reports what
    does not fit. Several processes predict pairs together. The constraints and K of the clustering that will be the
    `reader` of the pairs are checked before. With `self_train`, a G of characters by the best recipe is first trained
    further on the set. Returns the warnings of predict-pairs.
    """
    if pairs != PAIRS_FILE or "pairs" in context.given or not needed:
        return []
    context = replace(context, given=frozenset(), reading=context.reading.unlabelled)
    from clusterkit.artifacts.hdf5 import read_header
    from clusterkit.artifacts.lineage import made_from
    from clusterkit.datasets.catalogue import check_place, parse
    from clusterkit.datasets.current import is_of_same_data
    from clusterkit.datasets.overlap import covers
    from clusterkit.distributed import wait_for_all
    from clusterkit.stages import predict_pairs

    path, g = context.path(PAIRS_FILE.name), predictor(context, self_train=self_train)
    reason = "there are none yet"
    if path.exists():
        header = read_header(path, "pairs")
        if not header.config.get("automatic"):
            return []
        name, reading = header.dataset["name"], Reading.recorded(header.dataset).unlabelled
        if dataset is None:
            check_place(name, path)
            dataset, context = name, replace(context, reading=reading)
        fits = covers(name, dataset) and context.reading.of(parse(dataset).source) == reading
        fits = fits and header.config["g"] == g and made_from(header, "g", context.path(g))
        if fits and is_made_from_g(context.path(g), context) and is_of_same_data(header, context):
            return []
        reason = f"those of {' '.join([name, *reading.flags()])} no longer fit"
        if fits and (changed := changes_since(path, header, context)):
            reason = f"{name}: {changed} since {path} was made"
    if reader is not None and (reader.has_links or isinstance(reader.k, int)):
        check_reader(reader, dataset, context)
    if context.path(G_FILE).exists():
        console.log.info("predicting pairs first (%s), as clusterkit predict-pairs does", reason)
    # No process writes before all have checked, and none reads before all has been written.
    wait_for_all()
    if g == SELF_TRAINED:
        ensure_self_trained(dataset, context)
    done = predict_pairs.run(PredictPairsConfig(dataset=dataset, g=g, automatic=True), context)
    wait_for_all()
    return done.warnings


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


def is_made_from_g(g: Path, context: Context) -> bool:
    """Return whether a G of self-train, if it is one and is there, was made from the present `g.safetensors`."""
    from clusterkit.artifacts.checkpoint import read_checkpoint
    from clusterkit.artifacts.lineage import made_from

    if g.name == G_FILE or not g.exists():
        return True
    return made_from(read_checkpoint(g, "g")[0], "g", context.path(G_FILE))


def ensure_self_trained(dataset: str | None, context: Context) -> None:
    """Train the G of the work folder further on T, unless `self-trained.safetensors` is already such a G.

    Raises InputError for a file that the user made from another set or G, and where the training is impossible.
    """
    from clusterkit.artifacts.checkpoint import read_checkpoint
    from clusterkit.artifacts.lineage import target_of
    from clusterkit.datasets.catalogue import parse
    from clusterkit.datasets.current import is_of_same_data
    from clusterkit.datasets.overlap import covers
    from clusterkit.distributed import wait_for_all
    from clusterkit.stages import self_train

    path = context.path(SELF_TRAINED)
    name = target_of(read_checkpoint(context.path(G_FILE), "g")[0], dataset)
    if path.exists():
        header = read_checkpoint(path, "g")[0]
        target = header.extra["self_trained_on"]
        reading = Reading.recorded(target).unlabelled
        fits = covers(target["name"], name) and context.reading.of(parse(name).source) == reading
        if fits and is_made_from_g(path, context) and is_of_same_data(header, context):
            return
        if not header.config.get("automatic"):
            raise InputError(
                f"{path}: was made from another {G_FILE}, or on another set than {name} is now; "
                f"run: clusterkit self-train {name}, or add --no-self-train"
            )
    console.log.info(
        "training G further on %s first, as clusterkit self-train does: about a minute for 1,000 images on two cores "
        "(--no-self-train leaves it out)", name,
    )  # fmt: skip
    wait_for_all()
    try:
        self_train.run(SelfTrainConfig(dataset=name, automatic=True), context)
    except InputError as error:
        raise InputError(f"{error}; --no-self-train leaves this training out") from error
    wait_for_all()


def changes_since(pairs: Path, header: "Header", context: Context) -> str:
    """Return how many files are new and gone since pairs were predicted; "" if their file does not record it."""
    from clusterkit.artifacts.hdf5 import read_hdf5
    from clusterkit.datasets.catalogue import load_recorded
    from clusterkit.datasets.grown import DIGEST, changes

    _, groups = read_hdf5(pairs, "pairs")
    return changes(load_recorded(header.dataset, context), (group.get(DIGEST) for group in groups.values()))


def check_reader(config: ClusterConfig, dataset: str | None, context: Context) -> None:
    """Raise InputError or UsageError for links of the user, or for a K, that do not fit the set of the future pairs."""
    from clusterkit.artifacts.lineage import target_of
    from clusterkit.features.load import load_dataset, load_like
    from clusterkit.methods.common.number import number_of_clusters
    from clusterkit.networks.read import read_g
    from clusterkit.pairs.user_links import read_user_links

    header, g = read_g(context.path(G_FILE))
    name = target_of(header, dataset)
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


def ensure_k(config: ClusterConfig, context: Context) -> list[str]:
    """Estimate K for `--k auto` if `k.json` is missing, or if an earlier automatic `k.json` does not fit.

    The set is first clustered with the default K in its own folder, unless its pairs suffice (`ensure_k_of_metric`). A
    `k.json` that the user made is never replaced. Returns the warnings of this clustering and of estimate-k.
    """
    if config.k is not CountedBy.ESTIMATE or not isinstance(config.pairs, File):
        return []
    context = replace(context, given=context.given & {"backbone"})
    from clusterkit.artifacts.files import sha256
    from clusterkit.artifacts.json_file import read_json
    from clusterkit.datasets.current import up_to_date
    from clusterkit.distributed import is_first, wait_for_all
    from clusterkit.pairs.read import read_pairs
    from clusterkit.stages import cluster, estimate_k

    source = read_pairs(config, context, used=True)
    if source.is_by_metric:
        return ensure_k_of_metric(context.find(config.pairs.name), context)
    path, pairs = context.path(estimate_k.OUTPUT), context.find(config.pairs.name)
    inner = replace(context, workdir=context.path(OVER_CLUSTERED))
    weight = None if config.constraints is None else config.constraint_weight
    # Examples would make the estimate one with labels.
    config = replace(config, examples=None, constraint_weight=weight)
    over_clustering = replace(by_network(config, source, context), k=ClusterConfig.k, pairs=File(str(pairs)))
    options = over_clustering.options
    if isinstance(options, CcnOptions) and isinstance(options.init, File):
        # This clustering has another work folder, in which a bare name would not be found.
        over_clustering = replace(
            over_clustering, options=replace(options, init=File(str(context.find(options.init.name))))
        )
    assignments = inner.path(cluster.OUTPUT)
    is_current = up_to_date(assignments, over_clustering, inner, **cluster.files_read(over_clustering, inner))
    if path.exists():
        header, _ = read_json(path, "k")
        if not header.config.get("automatic") or (
            is_current and header.inputs.get("assignments") == sha256(assignments)
        ):
            return []
    console.log.info("estimating K first (--k auto), from a clustering with %s outputs", over_clustering.k)
    # No process writes before all have checked, and none reads before all has been written.
    wait_for_all()
    warnings: list[str] = []
    if not is_current:
        try:
            warnings += cluster.run(over_clustering, inner).warnings
        except UsageError as error:
            reason = str(error).removeprefix(f"--k {over_clustering.k}: ").partition(";")[0]
            raise UsageError(
                f"--k auto: K is estimated from {over_clustering.k} outputs, but {reason}; run clusterkit cluster with "
                "a smaller --k, then clusterkit estimate-k"
            ) from error
    wait_for_all()
    if is_first():
        estimating = EstimateKConfig(assignments=str(assignments), pairs=str(pairs), automatic=True)
        warnings += estimate_k.run(estimating, context).warnings
    wait_for_all()
    return warnings


def ensure_k_of_metric(pairs: Path, context: Context) -> list[str]:
    """Estimate K from pairs by a metric alone, likewise if `k.json` is missing or an automatic one does not fit."""
    from clusterkit.artifacts.files import sha256
    from clusterkit.artifacts.json_file import read_json
    from clusterkit.distributed import is_first, wait_for_all
    from clusterkit.stages import estimate_k

    path = context.path(estimate_k.OUTPUT)
    if path.exists():
        header, _ = read_json(path, "k")
        if not header.config.get("automatic") or header.inputs.get("pairs") == sha256(pairs):
            return []
    console.log.info("estimating K first (--k auto), from the pairs alone")
    # No process writes before all have checked, and none reads before all has been written.
    wait_for_all()
    warnings: list[str] = []
    if is_first():
        warnings = estimate_k.run(EstimateKConfig(pairs=str(pairs), automatic=True), context).warnings
    wait_for_all()
    return warnings


def by_network(config: ClusterConfig, pairs: "PairInput", context: Context) -> ClusterConfig:
    """Return a clustering by a network to estimate K from, because other methods leave no cluster empty.

    The network is that of a `config` of a network, or else the default one, with a backbone for the items of the pairs.
    """
    from clusterkit.methods.common.check import with_backbone
    from clusterkit.stages.cluster import suited_to

    assert pairs.header is not None
    if not METHODS[config.method].trains:
        config = ClusterConfig(
            dataset=config.dataset, recipe=config.recipe, constraints=config.constraints,
            constraint_weight=config.constraint_weight, options=CcnOptions(),
        )  # fmt: skip
    config = suited_to(config, pairs, context)
    return replace(config, options=with_backbone(config.options, tuple(pairs.header.extra["shape"]), context))
