"""Change one setting of SUPREME at a time: each term left out, tau, and the weights (SUPREME, figures 5 and 6).

Clusters T from a classifier of the known classes, A, as the study transfer does, with the default settings and with
each other value of each setting. With --held-out it learns a part of the classes of A and clusters the others instead,
to choose settings: T is not read then. Writes transfer-ablations.md, transfer-ablations.json, results.csv and
sweeps.png. All files are in the folder transfer-ablations of --workdir, with one folder per set and run.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from clusterkit.config import Context
from clusterkit.methods.common.joint_options import SupremeOptions
from clusterkit.settings import Flag
from clusterkit.studies.common import runs
from clusterkit.studies.common.driver import Outcome, Study
from clusterkit.studies.common.tables import Heading, Part, Rows, Table, mean, where
from clusterkit.studies.common.transfer import (
    SETTINGS,
    NetworkOptions,
    check_start,
    clustered,
    joint,
    pretraining,
    start_of,
)

if TYPE_CHECKING:
    from clusterkit.report.sweeps import Sweep

EXAMPLE = "Example: clusterkit reproduce transfer-ablations --set cifar10 --held-out --epochs 5 --vary tau"

METHOD = "supreme"
WEIGHTS = (0.0, 0.1, 1.0, 10.0)
VALUES: dict[str, tuple[float, ...]] = {
    "pair_weight": WEIGHTS,
    "self_weight": WEIGHTS,
    "balance_weight": WEIGHTS,
    "binary_weight": WEIGHTS,
    "source_weight": WEIGHTS,
    "tau": (0.05, 0.1, 0.25, 0.5, 1.0),
    "alpha": (0.0, 1.0),
}
"""The values of each setting; the weight 0 leaves a term out."""
SCORES = ("acc", "nmi")
PICTURE = "sweeps.png"


@dataclass(frozen=True, kw_only=True)
class AblationOptions(NetworkOptions):
    vary: Annotated[
        tuple[str, ...] | None,
        Flag(help="Setting to change; may be repeated.", choices=VALUES, metavar="NAME", default="all"),
    ] = None
    held_out: Annotated[
        bool, Flag(help="Cluster classes that are held out of A, to choose settings, instead of those of T.")
    ] = False


def run(options: AblationOptions, context: Context) -> Outcome:
    """Return the scores of each value and seed on each set."""
    from clusterkit.report.sweeps import write_sweeps

    tasks = {name: setting.held_out if options.held_out else setting.task for name, setting in SETTINGS.items()}
    sets = {name: [task.source, task.target] for name, task in tasks.items()}
    names = runs.parts_at_hand("set", options.sets, sets, context)
    check_start(options, names, tasks)
    rows = []
    for name in names:
        inner = runs.subfolder(context, f"{name}-held-out" if options.held_out else name)
        start, _ = start_of(pretraining(SETTINGS[name], tasks[name], options), options, inner)
        for title, setting in changes(options.vary).items():
            epochs = options.share(options.epochs)
            config = joint(METHOD, tasks[name], start, epochs, options.precision, setting)
            for seed in range(context.seed, context.seed + options.seeds):
                place = runs.subfolder(inner, f"{title}-seed{seed}", seed)
                rows += where(clustered(config, place, set=name, method=title), subset="mean")
    picture = {(name, setting): sweep_of(where(rows, set=name), setting) for name in names for setting in varied(rows)}
    facts = {"tasks": {name: [tasks[name].source, tasks[name].target] for name in names}, "picture": PICTURE}
    return Outcome(rows, facts, {PICTURE: partial(write_sweeps, picture)})


def title_of(setting: str, value: float) -> str:
    """Return the name of a run in rows and folders: the method alone for a default."""
    return METHOD if value == default(setting) else f"{setting}={value:g}"


def default(setting: str) -> float:
    value: float = getattr(SupremeOptions(), setting)
    return value


def values(setting: str) -> list[float]:
    """Return the values of a setting in rising order, its default among them."""
    return sorted({*VALUES[setting], default(setting)})


def changes(vary: tuple[str, ...] | None) -> dict[str, dict[str, float]]:
    """Return the options of each run by its name, the defaults first."""
    others = {title_of(name, value): {name: value} for name in vary or VALUES for value in values(name)}
    return {METHOD: {}} | {title: options for title, options in others.items() if title != METHOD}


def varied(rows: Rows) -> list[str]:
    """Return the settings that runs changed."""
    changed = {row.method.partition("=")[0] for row in rows}
    return [name for name in VALUES if name in changed]


def sweep_of(rows: Rows, setting: str) -> "Sweep":
    """Return the mean scores of one set for each value of a setting."""
    points = []
    for value in values(setting):
        of_value = where(rows, method=title_of(setting, value))
        scores = {metric.upper(): [row.value for row in where(of_value, metric=metric)] for metric in SCORES}
        points.append((value, {name: sum(each) / len(each) for name, each in scores.items()}))
    return points


def document(options: AblationOptions, outcome: Outcome) -> list[Part]:
    """Return the table of each setting: ACC and NMI by its value on each set."""
    what = "classes that are held out of A, so no label of T is read" if options.held_out else "T"
    sets: dict[str, list[str]] = outcome.facts["tasks"]
    parts: list[Part] = [
        Heading("Settings of SUPREME", 1),
        f"One setting is changed at a time; * marks its default. Scores are of {what}: mean ± standard deviation over "
        f"{options.seeds} seed(s), after {options.share(options.epochs)} passes.",
        f"![ACC and NMI by the value of each setting]({PICTURE})",
        Table(["set", "learned", "clustered"], [[name, *task] for name, task in sets.items()]),
    ]
    for setting in varied(outcome.rows):
        lines = []
        for value in values(setting):
            rows = where(outcome.rows, method=title_of(setting, value))
            cells = [mean(metric)(where(rows, set=name)) for name in sets for metric in SCORES]
            lines.append([f"{value:g}{'*' if value == default(setting) else ''}", *cells])
        head = [f"{name} {metric.upper()}" for name in sets for metric in SCORES]
        parts += [Heading(setting.replace("_", " ")), Table([setting.replace("_", " "), *head], lines)]
    return parts


STUDY = Study(__doc__, EXAMPLE, AblationOptions, (), run, document)
