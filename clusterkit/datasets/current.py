"""Whether an artifact that is there is the one that a stage would write now."""

from dataclasses import replace
from pathlib import Path

from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.own_data import settled
from clusterkit.artifacts.summary import summarise
from clusterkit.config import Context
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError, UsageError

LEARNED = {
    "pretrain": "dataset",
    "train-g": "dataset",
    "self-train": "dataset",
    "cluster": "dataset",
    "adapt": "source",
}
"""Which of the data sets in its header a stage may learn the labels of."""


def up_to_date(path: Path, config: object, context: Context, **inputs: Path) -> bool:
    """Return whether the artifact that a run would write is there, whole, of the same versions, settings and inputs.

    Its data sets must still have the content that they had.
    """
    if not path.exists():
        return False
    header = Header(**summarise(path)["header"])
    now = Header(header.format, header.stage, settled(resolved(config)), context.seed, header.device)
    header = replace(header, config=settled(header.config))
    # Where no data set was named, the inputs said which.
    now.config.update({"dataset": header.config["dataset"]} if now.config.get("dataset", "") is None else {})
    before, after = ((each.config, each.seed, each.versions, each.version) for each in (header, now))
    same = before == after and all(header.inputs.get(name) == sha256(file) for name, file in inputs.items())
    return same and is_of_same_data(header, context)


def is_of_same_data(header: Header, context: Context) -> bool:
    """Return whether every data set that a header records can be read and has the content that it had then.

    The labels count where the stage itself learned them.
    """
    labels = {data["name"]: data.get("labels") for data in header.extra.get("learned_from", [])}
    for role in ("dataset", "source", "self_trained_on"):
        data = header.dataset if role == "dataset" else header.extra.get(role)
        if not data:
            continue
        form = data["name"], data["size"], data["channels"]
        if form not in context.contents:
            try:
                read = load_dataset(form[0], context.data, offline=True, size=form[1], channels=form[2])
            except (InputError, UsageError):
                return False
            context.contents[form] = read.to_learned()
        then = {**data, "labels": labels.get(form[0]) if role == LEARNED.get(header.stage) else None}
        if any(context.contents[form][part] != then[part] for part in ("fingerprint", "labels") if then[part]):
            return False
    return True
