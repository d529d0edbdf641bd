"""The studies by name, in the order of the help. Importing them imports neither PyTorch nor SciPy."""

from clusterkit.studies import (
    baselines,
    c2m,
    digits,
    natural,
    office31,
    omniglot,
    omniglot_mnist,
    photos,
    robustness,
    supervised,
    transfer,
    transfer_ablations,
)
from clusterkit.studies.common.driver import Study

STUDIES: dict[str, Study] = {
    "omniglot": omniglot.STUDY,
    "baselines": baselines.STUDY,
    "omniglot-mnist": omniglot_mnist.STUDY,
    "robustness": robustness.STUDY,
    "supervised": supervised.STUDY,
    "natural": natural.STUDY,
    "transfer": transfer.STUDY,
    "transfer-ablations": transfer_ablations.STUDY,
    "photos": photos.STUDY,
    "digits": digits.STUDY,
    "office31": office31.STUDY,
    "c2m": c2m.STUDY,
}
