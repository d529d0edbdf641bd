"""Compare methods that cluster unseen classes from one network of known classes (SUPREME, table 1).

Pretrains a classifier of the known classes, A, from which all methods start. Clusters the other classes, T, by k-means,
LPNMF and LSC on its features; by CCN from the pairs of a G that learns A (KCL, MCL); and by DEC, DTC, AutoNovel and
SUPREME, which train features and clusters together. All methods pass over T equally often, or with --full as often as
in their papers. On Omniglot the CCN of the plain commands stands beside, which has a network of its own; --k auto takes
the K of each alphabet that the plain commands estimate. Writes transfer.md, transfer.json and results.csv. All files
are in the folder transfer of --workdir, with one folder per set and run.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from clusterkit import console
from clusterkit.config import G_FILE, ClusterConfig, Context, PredictPairsConfig, SelfTrainConfig, TrainGConfig
from clusterkit.errors import DivergedError, UsageError
from clusterkit.features.choice import with_training
from clusterkit.losses import Loss
from clusterkit.methods import METHODS, CcnOptions
from clusterkit.methods.common.joint_options import MOST_TOP
from clusterkit.metrics.rows import Row
from clusterkit.settings import CountedBy, File, Flag, Init
from clusterkit.studies.common import measured, runs
from clusterkit.studies.common.driver import Outcome, Study
from clusterkit.studies.common.tables import Heading, Part, mean, pivot, seeds, where
from clusterkit.studies.common.transfer import (
    EPOCHS,
    SETTINGS,
    NetworkOptions,
    Setting,
    Transfer,
    check_g,
    check_start,
    clustered,
    joint,
    pretraining,
    start_by_rotations,
    start_of,
)
from clusterkit.studies.common.transfer_tables import LINES, PLAIN, Line, durations, titled, trainings

EXAMPLE = "Example: clusterkit reproduce transfer --set cifar10 --epochs 15 --precision bf16"

BY_PAIRS = ("kcl", "mcl")
OMNIGLOT = "omniglot"
"""The set on which the CCN of the plain commands stands beside."""
PLAIN_EPOCHS, PLAIN_ROUNDS = 60, SelfTrainConfig.rounds
"""Passes of its G over A, the default of train-g for characters, and rounds of self-train on T."""
OUTPUTS = ClusterConfig.k
"""Outputs of the clustering from which K is estimated."""


@dataclass(frozen=True, kw_only=True)
class TransferOptions(NetworkOptions):
    method: Annotated[
        tuple[str, ...] | None,
        Flag(help="Method; may be repeated.", choices=LINES, metavar="NAME", default="all"),
    ] = None
    full: Annotated[
        bool,
        Flag(
            help="Take the backbone, passes and settings of each method's own paper, for a GPU; --budget takes a share."
        ),
    ] = False
    alphabet: Annotated[
        str | None, Flag(help="Alphabet of omniglot_eval to cluster alone.", metavar="NAME", default="all twenty")
    ] = None
    g: Annotated[
        Path | None, Flag(help=f"G of --method {PLAIN} and --k auto, on omniglot.", default="one that is trained")
    ] = None
    k: Annotated[
        tuple[CountedBy, ...],
        Flag(
            help="known (an oracle, which counts the classes of T), or auto, on omniglot; may be repeated.",
            metavar="[known|auto]",
        ),
    ] = (CountedBy.LABELS,)


def run(options: TransferOptions, context: Context) -> Outcome:
    """Return the scores and seconds of each method and seed on each set, and the trainings of each set."""
    check(options)
    tasks = {name: task_of(name, options) for name in SETTINGS}
    sets = {name: [task.source, task.target] for name, task in tasks.items()}
    names = runs.parts_at_hand("set", options.sets, sets, context)
    check_start(options, names, tasks)
    if options.g is not None:
        check_g(options.g, tasks[OMNIGLOT])
    rows, facts = [], {}
    for name in names:
        title = name if options.alphabet is None else f"{name}/{options.alphabet}"
        inner = runs.subfolder(context, name), runs.subfolder(context, title)
        work = Work(name, title, tasks[name], SETTINGS[name], options, *inner)
        rows += of_set(work)
        facts[title] = work.facts
    return Outcome(rows, {"trained": facts})


def check(options: TransferOptions) -> None:
    """Raise UsageError for flags that contradict each other."""
    if options.full and options.epochs != EPOCHS:
        raise UsageError(f"--epochs {options.epochs}: --full takes the passes of each paper; leave one of them out")
    if options.alphabet is not None and options.sets != (OMNIGLOT,):
        raise UsageError(f"--alphabet {options.alphabet}: only omniglot has alphabets; name --set omniglot alone")
    has_omniglot = OMNIGLOT in (options.sets or SETTINGS)
    if PLAIN in (options.method or ()) and not has_omniglot:
        raise UsageError(f"--method {PLAIN}: is for --set omniglot; on other sets choose kcl or mcl")
    is_estimated = CountedBy.ESTIMATE in options.k
    if is_estimated and options.sets != (OMNIGLOT,):
        raise UsageError("--k auto: K is estimated on omniglot alone; name --set omniglot and no other")
    if options.g is not None and not (has_omniglot and (is_estimated or PLAIN in (options.method or LINES))):
        raise UsageError(f"--g {options.g}: is for --method {PLAIN} and --k auto on omniglot; leave it out")


@dataclass(frozen=True)
class Work:
    """What the runs on one set share: its name and title, its task and setting, and the options.

    `shared` is the folder of what learns A alone, and `context` that of the runs on T. `epochs` holds the passes of
    each training, `published` those in its paper, and `seconds` those of trainings that several methods share.
    `failed` names the runs whose loss was not finite.
    """

    name: str
    title: str
    task: Transfer
    setting: Setting
    options: TransferOptions
    shared: Context
    context: Context
    epochs: dict[str, int | None] = field(default_factory=dict)
    published: dict[str, int | None] = field(default_factory=dict)
    seconds: dict[str, float | None] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "published": self.published, "seconds": self.seconds, "failed": self.failed}

    @property
    def lines(self) -> dict[str, Line]:
        """Return the chosen methods that this set has."""
        chosen = self.options.method or LINES
        return {
            name: line for name, line in LINES.items() if name in chosen and (name != PLAIN or self.name == OMNIGLOT)
        }


def clusterings(work: Work, name: str, config: ClusterConfig, ccn: ClusterConfig | None = None) -> list[Row]:
    """Return the scores of a method with each seed.

    `ccn` are the settings of the clustering from which K is estimated, None if K is known. All methods and seeds share
    this clustering.
    """
    line, rows = LINES[name], []
    method, loss = line.key
    title = name if ccn is None else f"{name}-k{config.k}"
    for seed in range(work.context.seed, work.context.seed + work.options.seeds):
        inner = runs.subfolder(work.context, f"{title}-seed{seed}", seed)
        try:
            if ccn is not None:
                many = replace(ccn, dataset=config.dataset, k=OUTPUTS)
                runs.estimate_k(many, runs.subfolder(work.context, "over-clustered"), inner)
            rows += clustered(config, inner, set=work.title, method=method, loss=loss)
        except DivergedError as error:
            # The other methods are still worth their hours.
            console.log.warning("transfer: %s on %s is left out: %s", line.title, work.title, error)
            estimated = ", K estimated" if ccn is not None else ""
            work.failed.append(f"{line.title}{estimated}, seed {seed}")
    return rows


def task_of(name: str, options: TransferOptions) -> Transfer:
    """Return the task of a set, of one alphabet if the options name one."""
    from clusterkit.datasets.catalogue import parse

    task = SETTINGS[name].task
    if options.alphabet is None or name != OMNIGLOT:
        return task
    return replace(task, target=replace(parse(task.target), subset=options.alphabet).full)


def of_set(work: Work) -> list[Row]:
    """Return the scores of each method and seed on one set."""
    options = work.options
    classifier = pretraining(work.setting, work.task, options, full=options.full)
    if options.pretrained is None:
        work.epochs["classifier"] = classifier.epochs
    start, work.seconds["classifier"] = start_of(classifier, options, work.shared)
    starts = dict.fromkeys((line.method for line in work.lines.values()), start)
    if options.full and options.pretrained is None and "autonovel" in starts:
        starts["autonovel"] = start_by_rotations(classifier, work.task, options, work.context)
    pairs = pairs_of(work, start) if any(name in work.lines for name in BY_PAIRS) else None
    is_estimated = CountedBy.ESTIMATE in options.k
    ccn = plain(work) if is_estimated or PLAIN in work.lines else None
    rows = []
    for name, line in work.lines.items():
        config = ccn if name == PLAIN else config_of(work, name, line, starts[line.method], pairs)
        assert config is not None
        config = replace(config, dataset=work.task.target)
        if CountedBy.LABELS in options.k:
            rows += clusterings(work, name, replace(config, k=work.task.k))
        if is_estimated:
            rows += clusterings(work, name, replace(config, k=CountedBy.ESTIMATE), ccn)
    if not rows:
        raise DivergedError(f"no method clustered {work.title}: {', '.join(work.failed)} diverged; see above")
    return rows


def config_of(work: Work, name: str, line: Line, start: File, pairs: Path | None) -> ClusterConfig:
    """Return the settings of a method from its start, but for T and K; note its passes."""
    options, method = work.options, METHODS[line.method]
    if not method.trains:
        return ClusterConfig(method=line.method, features=start)
    if method.joint:
        epochs, own = budget_of(work, line)
        work.epochs[name], work.published[name] = epochs, published(work, line)
        return joint(line.method, work.task, start, epochs, options.precision, own)
    assert line.loss is not None
    epochs = work.epochs[name] = options.share(options.epochs)
    ccn = CcnOptions(init=start, loss=line.loss, epochs=epochs, precision=options.precision)
    return ClusterConfig(pairs=File(str(pairs)), options=ccn)


def published(work: Work, line: Line) -> int | None:
    """Return the passes over T in the paper of a method, None if they are not known."""
    passes: int | None = work.setting.own.get(line.method, {}).get("passes", line.passes)
    return passes


def budget_of(work: Work, line: Line) -> tuple[int, dict[str, Any]]:
    """Return the passes of a joint training over T, and its options that are not the defaults."""
    options = work.options
    if not options.full:
        return options.share(options.epochs), line.options
    own = {name: value for name, value in work.setting.own.get(line.method, {}).items() if name != "passes"}
    if "ramp_epochs" in own:
        own["ramp_epochs"] = options.share(own["ramp_epochs"])
    if line.method == "autonovel":
        own["top"] = MOST_TOP
    return options.share(published(work, line) or EPOCHS), {**line.options, **own}


def pairs_of(work: Work, start: File) -> Path:
    """Train G on A from the classifier; return the file of the pairs that it predicts for T."""
    setting, options = work.setting, work.options
    config = TrainGConfig(
        dataset=work.task.source, epochs=options.share(options.epochs), classes_per_batch=setting.classes_per_batch,
        images_per_class=setting.images_per_class, init=Path(start.name), precision=options.precision,
    )  # fmt: skip
    g = trained_g("g", with_training(config, setting.kind), work)
    return runs.run_stage(PredictPairsConfig(dataset=work.task.target, g=str(g)), runs.subfolder(work.context, "pairs"))


def trained_g(name: str, config: TrainGConfig, work: Work) -> Path:
    """Train G in the folder `name` of the set; note its passes and its seconds."""
    inner = runs.subfolder(work.shared, name)
    path = inner.path(G_FILE)
    work.epochs[name] = config.epochs
    work.seconds[name] = measured.seconds_of(lambda: runs.run_stage(config, inner), path, inner)
    return path


def plain(work: Work) -> ClusterConfig:
    """Return the settings of CCN on the pairs that the plain commands predict for characters."""
    config = replace(runs.OMNIGLOT_G, epochs=work.options.share(PLAIN_EPOCHS))
    g = work.options.g or trained_g("plain-g", config, work)
    inner = runs.subfolder(work.context, "plain-pairs")
    runs.copy_g(g, inner)
    self_trained = runs.run_stage(SelfTrainConfig(dataset=work.task.target, rounds=PLAIN_ROUNDS), inner)
    pairs = runs.run_stage(PredictPairsConfig(dataset=work.task.target, g=self_trained.name), inner)
    return ClusterConfig(pairs=File(str(pairs)), options=CcnOptions(init=Init.G, loss=Loss.CCL))


def document(options: TransferOptions, outcome: Outcome) -> list[Part]:
    """Return the tables of ACC and NMI, of the passes of each training, and of their seconds."""
    rows = where(outcome.rows, subset="mean")
    names = list(outcome.facts["trained"])
    how = "as in each paper" if options.full else "the same for all methods"
    start = "classifier of A" if options.pretrained is None else f"network, {options.pretrained.name}"
    shared = "K is known unless a row says that it is estimated; all methods and seeds share the estimate."
    about_k = shared if CountedBy.ESTIMATE in options.k else "K is known."
    apart = "AutoNovel, which learns rotations first, and " if options.full and options.pretrained is None else ""
    return [
        Heading("Transfer clustering (SUPREME, table 1)", 1),
        f"{about_k} Passes over T are {how}. Scores are mean ± standard deviation over the seeds; published figures "
        "are in brackets, with the papers' own networks and passes. All methods of a set start from the same "
        f"{start}, except {apart}the CCN of the plain commands.",
        pivot(
            rows,
            {"method": titled},
            [
                *((f"{name} {metric.upper()}", mean(metric, set=name)) for name in names for metric in ("acc", "nmi")),
                ("seeds", seeds),
            ],
        ),
        *(
            f"Left out on {name}, because the loss was not finite: {'; '.join(fields['failed'])}."
            for name, fields in outcome.facts["trained"].items()
            if fields["failed"]
        ),
        Heading("Passes"),
        "Passes of the classifier and of G are over A, those of methods over T, in brackets those of their papers. A "
        "method that learns A beside T reads as many batches of A.",
        trainings(outcome.facts["trained"]),
        Heading("Seconds"),
        "A cell is empty for a training that was continued, or made elsewhere.",
        durations(rows, outcome.facts["trained"]),
    ]


STUDY = Study(__doc__, EXAMPLE, TransferOptions, ("SUPREME", "DTC", "AutoNovel"), run, document)
