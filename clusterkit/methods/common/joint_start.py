"""What a joint training starts from: a classifier or fixed features, and the labelled source."""

import logging
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from clusterkit.artifacts.lineage import learned_from
from clusterkit.config import Backbone, ClusterConfig, Context
from clusterkit.datasets.base import Dataset
from clusterkit.datasets.overlap import overlap
from clusterkit.errors import UsageError
from clusterkit.features.load import load_like, with_features
from clusterkit.methods.common.joint_options import JointOptions, SourceOptions
from clusterkit.methods.common.problem import Labelled
from clusterkit.networks.build import ClusterNet
from clusterkit.networks.groups import check_groups
from clusterkit.networks.heads import HeadKind
from clusterkit.networks.start import Start
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


def with_start(config: ClusterConfig, context: Context) -> ClusterConfig:
    """Return the settings of a joint training with the classifier of the work folder if they name no start.

    Without such a file it starts from random weights, which `prepared` accepts for vectors only. Other methods are
    returned unchanged. Raises UsageError for features that are no file of `embed`.
    """
    options = config.options
    if not isinstance(options, JointOptions):
        return config
    if config.features is not None:
        if not (isinstance(config.features, File) and config.features.name.endswith(".h5")):
            raise UsageError(
                f"--features {config.features}: --method {config.method} trains its own network; name the features.h5 "
                "of embed, or a network with --init"
            )
        if options.init not in (None, Init.RANDOM):
            raise UsageError(f"--init {options.init}: --features {config.features} is the start; leave one of them out")
    elif options.init is None and context.path(CLASSIFIER).exists():
        log.info("cluster: starts from the classifier in %s", context.path(CLASSIFIER))
        return replace(config, options=replace(options, init=File(CLASSIFIER)))
    return config if options.init is not None else replace(config, options=replace(options, init=Init.RANDOM))


def prepared(
    config: ClusterConfig, typed: JointOptions, start: Start, data: Dataset, context: Context
) -> tuple[ClusterConfig, Start, Dataset, Source | None]:
    """Return the settings, the start, the target and the source of a joint training, each in its final form.

    With features of a file of `embed`, target and source are sets of features. `typed` are the options as they were
    typed. Raises UsageError for images without a start, and the errors of `read_source`.
    """
    options = config.options
    assert isinstance(options, JointOptions)
    trained = None if start.header is None else start.header.dataset
    if start.features is not None and trained is not None:
        data = with_features(data, trained, context)
        start = replace(start, features=None)
    options = of_shape(config.method, options, typed, data.shape, context)
    if options.fine_tune is not None:
        check_fine_tune(options, start)
    source = None
    if isinstance(options, SourceOptions):
        options, source = read_source(config.method, options, start, data, context)
    return replace(config, options=options), start, data, source


def of_shape(
    method: str, options: JointOptions, typed: JointOptions, shape: tuple[int, ...], context: Context
) -> JointOptions:
    """Return the options for items of a shape, (C, H, W) or (D,): vectors are their own features by default.

    Raises UsageError for images if the start of the network was not `typed` and there is no classifier.
    """
    if options.init is not Init.RANDOM:
        return options
    if len(shape) == 1:
        is_typed = context.is_given(typed, "backbone")
        return options if is_typed else replace(options, backbone=Backbone.IDENTITY)
    if typed.init is None and not options.makes_start:
        raise UsageError(
            f"--method {method}: starts from a classifier of images, and {context.path(CLASSIFIER)} does not "
            "exist; run clusterkit pretrain on a labelled set, name a file with --init, or give --init random"
        )
    return options


def check_fine_tune(options: JointOptions, start: Start) -> None:
    """Raise UsageError if there is no start, or its backbone has fewer groups of layers."""
    if start.network is None:
        raise UsageError("--fine-tune: trains a part of the network of --init; name its file, or leave it out")
    check_groups(start.network.backbone, options.fine_tune or 0, options.init)


def read_source(
    method: str, options: SourceOptions, start: Start, data: Dataset, context: Context
) -> tuple[SourceOptions, Source]:
    """Return the options with the name of the source, and the source in the form of the target.

    Raises UsageError if no set is named and no default is allowed, and InputError for a set of another form or without
    labels.
    """
    trained = None if start.header is None else start.header.dataset
    name = options.source
    if name is None:
        name = default_source(method, start, data)["name"]
        log.info("cluster: also learns the classes of %s, as its classifier did (--source names another set)", name)
    reading = context.reading if context.reading.labels is not None else replace(context.reading, flat=False)
    form = data.to_header()
    found = load_like(
        name, data.shape, context, form if data.features or trained is None else trained, reading=reading,
        beside=data.title if start.network is None else None,
    ).labelled()  # fmt: skip
    labels, classes = found.numbered(f"cluster --method {method}")
    warn_of_shared(found, data)
    items = Labelled(
        subset=found.union(), kind=found.kind, labels=labels, classes=classes, head=classifier_of(start, classes)
    )
    return replace(options, source=found.name), Source(items, found.to_learned())


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
