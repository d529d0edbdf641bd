"""The papers' studies by name, a file each. Nothing heavy is imported before a study runs."""

from clusterkit.studies import baselines, omniglot, supervised
from clusterkit.studies.common.driver import Study

STUDIES: dict[str, Study] = {
    "omniglot": omniglot.STUDY,
    "baselines": baselines.STUDY,
    "supervised": supervised.STUDY,
}
"""In the order of the help."""
