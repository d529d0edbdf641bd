"""The papers' studies by name, a file each. Nothing heavy is imported before a study runs."""

from clusterkit.studies import baselines, natural, omniglot, omniglot_mnist, supervised
from clusterkit.studies.common.driver import Study

STUDIES: dict[str, Study] = {
    "omniglot": omniglot.STUDY,
    "baselines": baselines.STUDY,
    "omniglot-mnist": omniglot_mnist.STUDY,
    "supervised": supervised.STUDY,
    "natural": natural.STUDY,
}
"""In the order of the help."""
