"""Detection of files that are still those that a stage would write now."""

from dataclasses import replace
from pathlib import Path

from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header, canonical, resolved
from clusterkit.artifacts.lineage import ALONE
from clusterkit.artifacts.own_data import settled
from clusterkit.artifacts.summary import summarise
from clusterkit.config import Context
from clusterkit.datasets.catalogue import load_recorded
from clusterkit.errors import InputError, UsageError

LEARNED = {
    "pretrain": "dataset",
    "train-g": "dataset",
    "self-train": "dataset",
    "cluster": "dataset",
    "adapt": "source",
    "train-critic": "dataset",
}
"""The header's data set whose labels a stage may learn, by stage."""

CONTENT = ("fingerprint", "labels")
"""The parts of a data set's header entry that say what it contained. The other parts say how to read it."""


def up_to_date(path: Path, config: object, context: Context, **inputs: Path) -> bool:
    """Return whether the file at `path` exists and has the versions, settings, seed and inputs of this run.

    Its data sets must still have the recorded content. Raises InputError if the file is damaged.
    """
    if not path.exists():
        return False
    header = Header(**summarise(path)["header"])
    now = Header(header.format, header.stage, settled(resolved(config)), context.seed, header.device)
    header = replace(header, config=settled(header.config))
    # Without a name, the data set is that of the inputs.
    now.config.update({"dataset": header.config["dataset"]} if now.config.get("dataset", "") is None else {})
    before, after = ((entry.config, entry.seed, entry.versions, entry.version) for entry in (header, now))
    is_same = before == after and all(header.inputs.get(name) == sha256(file) for name, file in inputs.items())
    return is_same and is_of_same_data(header, context)


def is_of_same_data(header: Header, context: Context) -> bool:
    """Return whether every data set that a header records can be read and has the recorded content.

    Labels are compared only for the set whose labels the stage itself learned.
    """
    labels = {data["name"]: data.get("labels") for data in header.extra.get("learned_from", [])}
    roles = [(role, header.extra.get(role)) for role in ("source", "self_trained_on")]
    roles += [("others", data) for data in header.extra.get("others", [])]
    for role, data in [("dataset", header.dataset), *roles]:
        if not data or (role == "dataset" and header.extra.get(ALONE)):
            continue
        form = canonical({part: value for part, value in data.items() if part not in CONTENT})
        if form not in context.contents:
            try:
                context.contents[form] = load_recorded(data, context, offline=True).to_learned()
            except (InputError, UsageError):
                return False
        recorded = {**data, "labels": labels.get(data["name"]) if role == LEARNED.get(header.stage) else None}
        if any(context.contents[form][part] != recorded[part] for part in CONTENT if recorded[part]):
            return False
    return True
