"""What discover is asked for, and the checks before anything is made."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterkit import console
from clusterkit.cli.letters import FEWEST, Letters, class_size, is_alphabet
from clusterkit.config import CHARACTERS_BACKBONE, PHOTOS, Context, Kind, ReportConfig, SelfTrainConfig, TrainGConfig
from clusterkit.errors import InputError, OneClassError, UsageError
from clusterkit.reading import OWN_DATA
from clusterkit.settings import CountedBy, Fixed, K, parse_k

if TYPE_CHECKING:
    from clusterkit.datasets.base import Dataset
    from clusterkit.datasets.catalogue import Name


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """What this command was asked for; `name` and `like` are the full names of the two sets."""

    name: str
    like: str | None
    k: K
    examples: Path | None
    backbone: Fixed | None
    weights: tuple[Path, ...]
    size: int | None
    report: ReportConfig

    @property
    def flags(self) -> list[str]:
        """Return the flags of the backbone."""
        words = ["--backbone", str(self.backbone)]
        words += [word for path in self.weights for word in ("--weights", str(path))]
        return words if self.size is None else [*words, "--size", str(self.size)]


def number_or_auto(text: str) -> K:
    """Return the value of `--k`. Raises UsageError unless it is a number from 2 or `auto`."""
    if text == CountedBy.LABELS:
        raise UsageError(f"--k {text}: counts labels, which discover does not read; give a number from 2, or auto")
    try:
        return parse_k(text)
    except UsageError as error:
        raise UsageError(f"--k {text}: give a number from 2, or auto") from error


def check(
    config: Discovery, photos: Context, learning: Context
) -> tuple[Discovery, Letters | None, list[Any], list[str]]:
    """Return what `with_way` does, the header entries of the backbones, and warnings, before anything is made.

    Raises UsageError and InputError for anything that would stop a later stage: pictures and examples that cannot be
    read, a labelled set without two classes, folders that exist, and weights that are not here.
    """
    from clusterkit.datasets.catalogue import parse
    from clusterkit.features.load import load_dataset
    from clusterkit.features.models import find_models
    from clusterkit.pairs.user_links import read_user_links
    from clusterkit.report import folders
    from clusterkit.stages.report import home_of

    selected = parse(config.name)
    if selected.source == "folder" and selected.classes is not None:
        raise UsageError(
            f"{config.name}: discover reads no classes of a folder, from which @ could select; leave out "
            f"@{selected.classes}"
        )
    data, warnings = load_dataset(config.name, photos, whole=True), []
    if data.kind is Kind.VECTORS:
        raise InputError(f"{data.title} holds vectors, but discover reads pictures; use train-g and cluster")
    known = read_user_links(None, config.examples, data)
    for subset in data.subsets:
        title = data.title if len(data.subsets) == 1 else f"{data.title}, subset {subset.name}"
        fewest = known.fewest(subset.name)
        if len(subset) < 2:
            raise InputError(f"{title} holds one picture only; groups need at least two, so name another set")
        if isinstance(config.k, int) and config.k > len(subset):
            raise UsageError(f"--k {config.k}: {title} has only {len(subset)} pictures; give a smaller number")
        if isinstance(config.k, int) and config.k < fewest:
            raise UsageError(f"--k {config.k}: the examples have {fewest} labels; give a number from {fewest}")
    if config.report.folders is not None:
        pictures = [
            folders.Picture(int(subset.ids[number]), file, ())
            for subset in data.subsets
            for number, file in enumerate(subset.files or ())
        ]
        folders.check(pictures, config.report.folders, config.report.by, home_of(data))
    if config.like is not None:
        warnings = check_like(config.like, config.name, learning)
    config, letters, of_like = with_way(config, data, photos, learning)
    warnings = warnings + of_like
    check_folder(config, letters, photos)
    if config.backbone is None:
        return config, letters, [], warnings
    models = find_models(config.backbone, config.weights, photos, config.size)
    return config, letters, [model.to_header() for model in models], warnings


def with_way(
    config: Discovery, data: "Dataset", photos: Context, learning: Context
) -> tuple[Discovery, Letters | None, list[str]]:
    """Return the settings with the backbone for the kind of the set, or without one and with the letters to sort.

    Return also warnings of labelled pictures that the backbone chosen here does not suit. Raises UsageError for weights
    or a size without a backbone that they could belong to.
    """
    from clusterkit.features.embed import foreign
    from clusterkit.features.load import load_dataset

    is_grey = data.kind is Kind.CHARACTERS or data.shape[0] == 1
    if config.backbone is not None or not is_grey:
        return replace(config, backbone=config.backbone or PHOTOS), None, []
    if config.weights or config.size is not None:
        flag = "--weights" if config.weights else f"--size {config.size}"
        raise UsageError(
            f"{flag}: belongs to a backbone, but the network for the grey pictures of {data.title} comes with the "
            "program; name a backbone with --backbone, or leave it out"
        )
    like = None if config.like is None else load_dataset(config.like, learning, whole=True)
    is_one, reason = alphabet(data, like, config.name, photos)
    console.log.info("%s; if they are photos, add --backbone %s", reason, PHOTOS)
    if not is_one:
        warnings = [] if like is None else list(foreign(like, CHARACTERS_BACKBONE.names, learning))
        for warning in warnings:
            # train-g, which embeds these pictures, has the same warning.
            console.log.warning("%s", warning, extra={"once": True})
        return replace(config, backbone=CHARACTERS_BACKBONE), None, warnings
    letters = Letters(
        name=config.name, like=config.like, k=config.k, examples=config.examples,
        sizes={subset.name: len(subset) for subset in data.subsets},
    )  # fmt: skip
    return config, letters, []


def alphabet(data: "Dataset", like: "Dataset | None", name: str, context: Context) -> tuple[bool, str]:
    """Return whether a set of grey pictures, whose full name is `name`, is sorted as an alphabet, and why."""
    features = f"they are compared by the features of {CHARACTERS_BACKBONE}"
    if data.kind is not Kind.CHARACTERS:
        return False, f"{data.title} holds grey pictures that are no characters, so {features}"
    text = f"{data.title} holds grey pictures, which are taken for characters"
    if like is not None and like.kind is not Kind.CHARACTERS:
        return False, f"{text}: the pictures of --like {like.name} are none, so {features}"
    size = class_size(name, context)
    count = f"about {size:.0f} pictures of each"
    if is_alphabet(size):
        return True, f"{text}: {count}, so an alphabet"
    if size < FEWEST:
        return False, f"{text}: the G of the program finds hardly any two alike, so {features}"
    return False, f"{text}: {count}, so few large classes"


def check_like(like: str, name: str, context: Context) -> list[str]:
    """Return a warning if pictures to sort are also labelled ones.

    Raises UsageError if it is the same set, and InputError if it has no labels, or one class only.
    """
    from clusterkit.datasets.catalogue import parse
    from clusterkit.features.load import load_dataset

    first, second = parse(like), parse(name)
    if is_at_same_place(first, second) and (first.subset, chosen(first)) == (second.subset, chosen(second)):
        raise UsageError(
            f"--like {like}: is the set to sort; name labelled pictures of other categories, or label some of these by "
            "--examples FILE"
        )
    try:
        labelled = load_dataset(like, context, whole=True).labelled()
        labelled.labels_for("--like")
    except OneClassError as error:
        raise InputError(
            f"{error.place}: {error.found}; give --like pictures of two classes or more, each in its own subfolder, or "
            "leave it out"
        ) from error
    if share_pictures(first, second, labelled.present_classes()):
        return console.warn_all([f"--like {like}: pictures of {name} are among these, so labels of them were learned"])
    return []


def share_pictures(like: "Name", name: "Name", classes: Sequence[str]) -> bool:
    """Return whether pictures of a set are also in the labelled one, with these classes, as far as names tell."""
    if is_at_same_place(like, name):
        if None not in (like.subset, name.subset) and like.subset != name.subset:
            return False
        first, second = chosen(like), chosen(name)
        return first is None or second is None or not first.isdisjoint(second)
    if not like.source == name.source == "folder":
        return False
    labelled, sorted_ = (Path(entry.argument).resolve() for entry in (like, name))
    if labelled.is_relative_to(sorted_):
        return True
    return sorted_.is_relative_to(labelled) and sorted_.relative_to(labelled).parts[0] in classes


def is_at_same_place(first: "Name", second: "Name") -> bool:
    """Return whether two names are of the same source, whichever subset and classes they select."""
    if first.source != second.source:
        return False
    if first.source in OWN_DATA:
        return Path(first.argument).resolve() == Path(second.argument).resolve()
    return first.argument == second.argument


def chosen(name: "Name") -> set[int] | None:
    """Return the numbers of the classes that a name selects, None if it selects none."""
    from clusterkit.datasets.catalogue import chosen_classes

    return None if name.classes is None else set(chosen_classes(name.classes, sys.maxsize, name.full))


def check_folder(config: Discovery, letters: Letters | None, context: Context) -> None:
    """Raise InputError if the work folder has files of another set, or a G of other settings than discover trains.

    What another command predicted automatically may be replaced, and so may a damaged file.
    """
    from clusterkit.artifacts.header import Header, resolved
    from clusterkit.artifacts.own_data import settled
    from clusterkit.artifacts.summary import summarise
    from clusterkit.stages import cluster, embed, estimate_k, predict_pairs, self_train, train_g

    outputs = [predict_pairs.OUTPUT, cluster.OUTPUT]
    outputs += [embed.OUTPUT] if letters is None else [self_train.OUTPUT]
    outputs += [train_g.OUTPUT] if letters is None or letters.like is not None else []
    outputs += [estimate_k.OUTPUT] if config.k is CountedBy.ESTIMATE else []
    trained: dict[str, SelfTrainConfig | TrainGConfig] = {}
    if letters is not None:
        trained[self_train.OUTPUT] = letters.further
        trained |= {} if letters.like is None else {train_g.OUTPUT: letters.learning}
    for path in map(context.path, outputs):
        if not path.exists():
            continue
        try:
            header = Header(**summarise(path)["header"])
        except InputError:
            continue
        title = header.extra.get("self_trained_on", header.dataset).get("name")
        # A metric is made again in no time.
        is_metric = path.name == train_g.OUTPUT and header.dataset.get("features")
        if is_metric or header.config.get("automatic"):
            continue
        fits, other = settled(title) == settled(config.name), ""
        if path.name in trained:
            expected = trained[path.name]
            fits = settled(header.config) == settled(resolved(expected))
            other = " with other settings" if settled(title) == settled(expected.dataset) else ""
        elif path.name == train_g.OUTPUT:
            fits = False
        if not fits:
            raise InputError(
                f"{path}: was made by clusterkit {header.stage} from {title}{other}, and discover would replace it; "
                "name a new folder with --workdir, or remove the file"
            )
