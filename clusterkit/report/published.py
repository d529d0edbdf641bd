"""Figures that papers published, to stand beside ours.

L2C is Hsu, Lv and Kira (2018); CCL is Hsu, Lv, Schlosser, Odom and Kira (2018); SPN is Hsu, Lv and Kira (2016).
"""

OMNIGLOT_MEAN = {
    ("CCN, KCL", "known"): {"acc": 0.824, "nmi": 0.889},
    ("CCN, KCL", "100"): {"acc": 0.781, "nmi": 0.874, "adif": 6.35},
    ("CCN, CCL", "known"): {"acc": 0.833, "nmi": 0.897},
    ("CCN, CCL", "100"): {"acc": 0.802, "nmi": 0.893},
}
"""Mean over the twenty evaluation alphabets: L2C, tables 1 and 6; CCL, table 4."""

OMNIGLOT_ACC = {
    "Angelic": 0.82, "Atemayar_Qelisayer": 0.82, "Atlantean": 0.72, "Aurek-Besh": 0.90, "Avesta": 0.76,
    "Ge_ez": 0.82, "Glagolitic": 0.85, "Gurmukhi": 0.80, "Kannada": 0.62, "Keble": 0.90, "Malayalam": 0.72,
    "Manipuri": 0.85, "Mongolian": 0.86, "Old_Church_Slavonic_(Cyrillic)": 0.94, "Oriya": 0.67, "Sylheti": 0.64,
    "Syriac_(Serto)": 0.73, "Tengwar": 0.66, "Tibetan": 0.84, "ULOG": 0.70,
}  # fmt: skip
"""ACC of CCN with KCL at K = 100 (L2C, table 5)."""

OMNIGLOT_K = {
    "Angelic": 26, "Atemayar_Qelisayer": 34, "Atlantean": 41, "Aurek-Besh": 28, "Avesta": 32, "Ge_ez": 32,
    "Glagolitic": 45, "Gurmukhi": 43, "Kannada": 44, "Keble": 28, "Malayalam": 47, "Manipuri": 41, "Mongolian": 36,
    "Old_Church_Slavonic_(Cyrillic)": 45, "Oriya": 49, "Sylheti": 50, "Syriac_(Serto)": 38, "Tengwar": 41,
    "Tibetan": 42, "ULOG": 40,
}  # fmt: skip
"""NDC of CCN with KCL at K = 100 (L2C, table 6)."""

N_WAY = {"5_way": 0.979, "20_way": 0.935, "mnist 10_way": 0.720}
"""One-shot tests of G (L2C, table 7)."""

SUPERVISED = {
    ("mnist", "lenet"): {"ce": 0.994, "kcl": 0.995, "ccl": 0.993},
    ("cifar10", "lenet"): {"ce": 0.844, "kcl": 0.836, "ccl": 0.839},
    ("cifar10", "vgg8"): {"ce": 0.894, "kcl": 0.896, "ccl": 0.895},
    ("cifar10", "vgg11"): {"ce": 0.900, "kcl": 0.856, "ccl": 0.904},
    ("cifar10", "vgg16"): {"ce": 0.911, "kcl": 0.219, "ccl": 0.913},
    ("cifar10", "preactresnet18"): {"ce": 0.926, "kcl": 0.817, "ccl": 0.927},
    ("cifar10", "preactresnet101"): {"ce": 0.930, "kcl": 0.219, "ccl": 0.933},
    ("cifar100", "vgg8"): {"ce": 0.641, "kcl": 0.443, "ccl": 0.640},
}
"""Accuracy on the test set of networks that learn from labels or from all true pairs (CCL, tables 1 and 2)."""

OMNIGLOT_MNIST = {"acc train": 0.988, "acc test": 0.990, "nmi train": 0.966, "nmi test": 0.974}
"""MNIST clustered by a similarity that was learned on Omniglot (SPN, table 2); NMI with the geometric mean."""

SPN_N_WAY = {"5_way": 0.979, "20_way": 0.935, "10_way": 0.794}
"""One-shot tests of the similarity network, 10-way on MNIST (SPN, table 1)."""

MNIST_PAIRS = {
    "similar_precision": 0.782,
    "similar_recall": 0.509,
    "dissimilar_precision": 0.946,
    "dissimilar_recall": 0.984,
}
"""What G, trained on Omniglot, says of the pairs of MNIST (L2C, table 13)."""

NATURAL = {
    ("cifar10", "k-means", "5"): {"acc": 0.655},
    ("cifar10", "CCN, KCL", "5"): {"acc": 0.665},
    ("cifar10", "CCN, CCL", "5"): {"acc": 0.642},
    ("imagenet", "k-means", "30"): {"acc": 0.719, "nmi": 0.713},
    ("imagenet", "k-means", "100"): {"acc": 0.345, "nmi": 0.671},
    ("imagenet", "CCN, KCL", "30"): {"acc": 0.738, "nmi": 0.750},
    ("imagenet", "CCN, KCL", "100"): {"acc": 0.652, "nmi": 0.715},
    ("imagenet", "CCN, CCL", "30"): {"acc": 0.744, "nmi": 0.762},
    ("imagenet", "CCN, CCL", "100"): {"acc": 0.715, "nmi": 0.765},
}
"""Unseen categories of photos: thirty classes of ImageNet (L2C, table 8; CCL, table 3), and the last five classes of
CIFAR-10 from the first five (Huang and Gong 2020, SUPREME, table 1, with a ResNet)."""

IMAGENET_PAIRS = {
    "similar_precision": 0.812,
    "similar_recall": 0.655,
    "dissimilar_precision": 0.982,
    "dissimilar_recall": 0.992,
}
"""What G says of the pairs of thirty unseen classes of ImageNet (L2C, table 9)."""

DIGITS = {("svhn-mnist", "source-only"): 0.520, ("svhn-mnist", "ccn+"): 0.891}
"""Accuracy on the target's test set (L2C, table 12); the paper has no other pair of digit sets."""

SVHN_MNIST = (
    ("Ganin et al. (2016)", "DANN", 0.549, 0.739),
    ("Sener et al. (2016)", "LTR", 0.549, 0.788),
    ("Saito et al. (2017)", "ATDA", 0.701, 0.862),
    ("Tzeng et al. (2017)", "ADDA", 0.601, 0.760),
    ("Hsu et al. (2018)", "CCN+", 0.520, 0.891),
)
"""Paper, method, accuracy of its own source-only and of the method (L2C, table 12)."""

DIRECTIONS = ("A to W", "D to W", "W to D", "A to D", "D to A", "W to A")


def _by_direction(*percent: float) -> dict[str, float]:
    return {name: value / 100 for name, value in zip((*DIRECTIONS, "mean"), percent, strict=True)}


OFFICE31 = {
    "source-only": _by_direction(66.8, 92.8, 96.8, 67.1, 51.4, 53.0, 71.3),
    "dann": _by_direction(73.2, 97.0, 99.0, 69.3, 58.0, 57.8, 75.7),
    "jan": _by_direction(74.5, 94.1, 99.6, 75.9, 58.7, 59.0, 76.9),
    "ccn+": _by_direction(76.7, 97.3, 98.2, 71.2, 61.0, 60.5, 77.5),
    "ccn++": _by_direction(78.2, 97.4, 98.6, 73.5, 62.8, 60.6, 78.5),
}
"""Accuracy on Office-31 with a ResNet-18 (L2C, table 2)."""

SOURCE_ONLY = {
    "AlexNet": _by_direction(61.6, 95.4, 99.0, 63.8, 51.1, 49.8, 70.1),
    "AlexNet, JAN": _by_direction(75.2, 96.6, 99.6, 72.8, 57.5, 56.3, 76.3),
    "ResNet-18": _by_direction(66.8, 92.8, 96.8, 67.1, 51.4, 53.0, 71.3),
    "ResNet-34": _by_direction(73.1, 96.4, 98.8, 73.8, 63.2, 62.1, 77.9),
    "ResNet-50": _by_direction(74.3, 96.8, 98.8, 79.5, 61.2, 60.6, 78.5),
}
"""Source-only by network, and JAN on the smallest (L2C, table 10)."""


def _pairs(*shares: float) -> dict[str, float]:
    return dict(zip(MNIST_PAIRS, shares, strict=True))


OFFICE31_PAIRS = {
    "office31/amazon": _pairs(0.194, 0.696, 0.988, 0.894),
    "office31/dslr": _pairs(0.196, 0.882, 0.995, 0.858),
    "office31/webcam": _pairs(0.213, 0.865, 0.994, 0.876),
}
"""What G, trained on ImageNet, says of the pairs of Office-31 (L2C, table 11)."""
