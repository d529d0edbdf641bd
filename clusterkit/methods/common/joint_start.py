"""What a joint training starts from: a classifier or fixed features, and the labelled source."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from clusterkit.artifacts.header import Header
from clusterkit.artifacts.lineage import learned_from
from clusterkit.config import Backbone, ClusterConfig, Context, Kind
from clusterkit.datasets.base import Dataset
from clusterkit.datasets.catalogue import parse
from clusterkit.datasets.overlap import overlap
from clusterkit.errors import UsageError
from clusterkit.features.load import load_dataset, load_like, with_features
from clusterkit.methods import counts_labels
from clusterkit.methods.common.check import with_backbone
from clusterkit.methods.common.joint_options import (
    AutonovelOptions,
    DecOptions,
    JointOptions,
    SourceOptions,
    Variant,
    check_agreement,
)
from clusterkit.methods.common.problem import Labelled
from clusterkit.networks.backbones import build_backbone
from clusterkit.networks.build import ClusterNet
from clusterkit.networks.groups import check_groups
from clusterkit.networks.heads import HeadKind
from clusterkit.networks.start import Start, read_network
from clusterkit.reading import OWN_DATA, Reading
from clusterkit.settings import File, Init

log = logging.getLogger("clusterkit")

CLASSIFIER = "pretrained.safetensors"
"""The file of the classifier from which a training starts if none is named."""
NAMED = 3
"""The most shared classes that a warning names."""


@dataclass(frozen=True)
class Source:
    """The labelled source of a joint training, and its header entry with the hash of the labels."""

    items: Labelled
    learned: dict[str, Any]


def with_start(
    config: ClusterConfig, context: Context, pairs: tuple[Header, Path] | None
) -> tuple[ClusterConfig, Start]:
    """Return the settings and the start of the network. `pairs` are the header and the path of the pairs, if any.

    A joint training that names no start takes the classifier of the work folder if that reads items of the form of the
    target, and otherwise random weights, which `settled` accepts for images only if the backbone was typed. Raises
    UsageError for features that are no file of `embed`.
    """
    options = config.options
    if not isinstance(options, JointOptions):
        return config, read_network(config.features, getattr(options, "init", Init.RANDOM), context, pairs)
    path = context.path(CLASSIFIER)
    if config.features is not None:
        if not (isinstance(config.features, File) and config.features.name.endswith(".h5")):
            raise UsageError(
                f"--features {config.features}: --method {config.method} trains its own network; name the features.h5 "
                "of embed, or a network with --init"
            )
        if options.init not in (None, Init.RANDOM):
            raise UsageError(f"--init {options.init}: --features {config.features} is the start; leave one of them out")
    elif options.init is None and context.is_given(options, "backbone"):
        log.info("cluster: starts from random weights of %s, as --backbone names it", options.backbone)
    elif options.init is None and path.exists():
        start = read_network(None, File(CLASSIFIER), context, None)
        if can_read(start, config.dataset or (None if pairs is None else pairs[0].dataset["name"]), context):
            log.info("cluster: starts from the classifier in %s", path)
            return replace(config, options=replace(options, init=File(CLASSIFIER))), start
        log.info("cluster: does not start from the classifier in %s, which reads items of another form", path)
    init = options.init or Init.RANDOM
    return replace(config, options=replace(options, init=init)), read_network(config.features, init, context, pairs)


def can_read(start: Start, dataset: str | None, context: Context) -> bool:
    """Return whether a network reads the items of a set; all images are brought into the form of a network of images.

    A set that is not named is left to a later check.
    """
    assert start.network is not None
    assert start.header is not None
    shape, entries = start.network.architecture.shape, start.header.dataset.get("features")
    if dataset is None:
        return True
    name = parse(dataset)
    # Arrays show only by their content whether they are vectors.
    if name.entry.kind is Kind.VECTORS or name.source in ("arrays", "features"):
        form = load_dataset(dataset, context).shape
        if len(form) == 1:
            return form == shape and not entries
    return len(shape) == 3 or bool(entries)


def prepared(
    config: ClusterConfig, typed_options: JointOptions, start: Start, data: Dataset, context: Context
) -> tuple[ClusterConfig, Start, Dataset, Source | None]:
    """Return the settings, the start, the target and the source of a joint training, each in its final form.

    With features of a file of `embed`, target and source are sets of features. `typed_options` are the options as they
    were typed. Raises the errors of `settled` and `read_source`.
    """
    trained = None if start.header is None else start.header.dataset
    if start.features is not None and trained is not None:
        data = with_features(data, trained, context)
        start = replace(start, features=None)
    assert isinstance(config.options, JointOptions)
    remedy = (
        f", and there is none for {data.name} in {context.path(CLASSIFIER)}; run clusterkit pretrain on a labelled "
        "set, name a file with --init, or give --init random"
    )
    options = settled(config.method, config.options, typed_options, start, data, context, remedy)
    source = None
    if isinstance(options, SourceOptions):
        labels = None if counts_labels(config) else context.reading.labels
        options, source = read_source(config.method, options, start, data, labels, context)
    return replace(config, options=options), start, data, source


def settled(
    method: str, options: JointOptions, typed_options: JointOptions, start: Start, data: Dataset, context: Context,
    remedy: str,
) -> JointOptions:  # fmt: skip
    """Return the options for the target and the start of its network. Vectors are their own features by default.

    Raises UsageError for options without effect, and for images if neither a start nor a backbone is typed and there is
    no classifier; `remedy` ends that message.
    """

    def is_given(name: str) -> bool:
        return context.is_given(typed_options, name)

    shape = data.shape
    if options.init is Init.RANDOM and not is_given("backbone"):
        if len(shape) == 1:
            options = replace(options, backbone=Backbone.IDENTITY)
        elif typed_options.init is None and not options.makes_start:
            raise UsageError(f"--method {method}: starts from a classifier of images{remedy}")
    options = with_backbone(options, shape, context)
    if options.fine_tune is not None:
        check_fine_tune(options, start)
    if isinstance(options, AutonovelOptions):
        check_top(options, start, shape)
    learns_codes = start.network is None and options.backbone is Backbone.DEC
    if isinstance(options, DecOptions) and is_given("autoencoder_epochs") and not learns_codes:
        raise UsageError(
            "--autoencoder-epochs: only a dec without a start has an autoencoder; leave it out, or give --init random "
            "and --backbone dec"
        )
    by_views = isinstance(options, AutonovelOptions) or getattr(options, "variant", None) is Variant.PI
    if data.kind is Kind.VECTORS and by_views:
        check_agreement(options, is_given, f"{data.name} holds vectors, which are not varied; this")
    return options


def check_fine_tune(options: JointOptions, start: Start) -> None:
    """Raise UsageError if there is no start, or its backbone has fewer groups of layers."""
    if start.network is None:
        raise UsageError("--fine-tune: trains a part of the network of --init; name its file, or leave it out")
    check_groups(start.network.backbone, options.fine_tune or 0, options.init)


def check_top(options: AutonovelOptions, start: Start, shape: tuple[int, ...]) -> None:
    """Raise UsageError if the largest features are all features, so that no two items differ."""
    if start.network is not None:
        width = start.network.backbone.features
    else:
        # On this device nothing is computed.
        with torch.device("meta"):
            width = build_backbone(options.backbone, shape).features
    if width == 1:
        raise UsageError("--method autonovel: compares largest features, but there is a single one; use --method dtc")
    if options.top is not None and options.top >= width:
        raise UsageError(
            f"--top {options.top}: of {width} features, so no two items would differ; give a smaller number or more "
            "features"
        )


def read_source(
    method: str, options: SourceOptions, start: Start, data: Dataset, labels: Path | None, context: Context
) -> tuple[SourceOptions, Source]:
    """Return the options with the name of the source, and the source in the form of the target.

    `labels` is the file of its labels, if it is typed. Raises UsageError if no set is named and no default is allowed,
    or if the set has labels of its own beside the file, and InputError for a set of another form or without labels.
    """
    trained = None if start.header is None else start.header.dataset
    name, reading = options.source, context.reading.unlabelled
    if name is None:
        learned = default_source(method, start, data)
        name, reading = learned["name"], Reading.recorded(learned)
        log.info("cluster: also learns the classes of %s, as its classifier did (--source names another set)", name)
    if labels is not None:
        check_own(name, "--source")
        reading = replace(reading, labels=labels)
    # Read flat, a folder has no labels but those of a file.
    reading = reading if reading.labels is not None else replace(reading, flat=False)
    form = data.to_header()
    source = load_like(
        name, data.shape, context, form if data.features or trained is None else trained, reading=reading,
        beside=data.title if start.network is None else None,
    ).labelled()  # fmt: skip
    numbers, classes = source.numbered(f"cluster --method {method}")
    warn_of_shared(source, data)
    items = Labelled(
        subset=source.union(), kind=source.kind, labels=numbers, classes=classes, head=classifier_of(start, classes)
    )
    return replace(options, source=source.name), Source(items, source.to_learned())


def target_context(config: ClusterConfig, context: Context) -> Context:
    """Return how the target is read: without the file of labels if they are those of the source.

    Raises UsageError for the labels of a target that is no data of the user's own.
    """
    if context.reading.labels is None or not isinstance(config.options, SourceOptions):
        return context
    if not counts_labels(config):
        return replace(context, reading=context.reading.unlabelled)
    if config.dataset is not None:
        check_own(config.dataset, "--k known")
    return context


def check_own(name: str, flag: str) -> None:
    """Raise UsageError unless a set is the user's own data, which a file of labels can label; `flag` says its use."""
    if parse(name).source not in OWN_DATA:
        raise UsageError(f"--labels: with {flag} it labels {name}, which has its own labels; leave it out")


def default_source(method: str, start: Start, data: Dataset) -> dict[str, Any]:
    """Return the header entry of the only set whose labels the network of a file of `pretrain` or `train-g` learned.

    Raises UsageError without such a set, and if it shares images with the target, whose labels no default may learn.
    """
    learned: list[dict[str, Any]] = []
    if start.network is not None:
        assert start.header is not None
        assert start.path is not None
        learned = learned_from(start.header, start.path)
    if len(learned) != 1:
        raise UsageError(f"--method {method}: also learns a labelled set; name it with --source")
    [fields] = learned
    if overlap(fields, data.to_header()):
        raise UsageError(
            f"--method {method}: would learn the labels of {fields['name']}, as {start.path} did, but "
            f"it shares images with {data.name}; name a set of other images with --source"
        )
    return fields


def classifier_of(start: Start, classes: tuple[str, ...]) -> nn.Linear | None:
    """Return the outputs of a classifier that has only these on its features, if they are of these classes."""
    network, header = start.network, start.header
    if not isinstance(network, ClusterNet) or network.architecture.head is not HeadKind.LINEAR or header is None:
        return None
    [outputs] = network.head
    assert isinstance(outputs, nn.Linear)
    return outputs if tuple(header.extra.get("classes") or ()) == classes else None


def warn_of_shared(source: Dataset, target: Dataset) -> None:
    """Warn if the classes of the source have names that classes of the target have too, where names tell classes."""
    shared = sorted(set(source.present_classes()) & set(target.present_classes()))
    shared = [name for name in shared if not name.isdecimal()]
    if shared:
        more = f" and {len(shared) - NAMED} more" if len(shared) > NAMED else ""
        log.warning(
            "cluster: %s has classes of the same names as %s: %s%s; the method looks for new categories, so choose the "
            "classes of the source with @CLASSES", source.name, target.name, ", ".join(shared[:NAMED]), more,
        )  # fmt: skip
