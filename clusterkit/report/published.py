"""Figures that papers published, to stand beside ours.

L2C is Hsu, Lv and Kira (2018); CCL is Hsu, Lv, Schlosser, Odom and Kira (2018); SPN is Hsu, Lv and Kira (2016).
"""

OMNIGLOT_MEAN = {
    ("k-means", "known"): {"acc": 0.217, "nmi": 0.353},
    ("k-means", "100"): {"acc": 0.189, "nmi": 0.464},
    ("LPNMF", "known"): {"acc": 0.222, "nmi": 0.372},
    ("LPNMF", "100"): {"acc": 0.163, "nmi": 0.498},
    ("LSC", "known"): {"acc": 0.236, "nmi": 0.376},
    ("LSC", "100"): {"acc": 0.180, "nmi": 0.500},
    ("ITML", "known"): {"acc": 0.567, "nmi": 0.674},
    ("ITML", "100"): {"acc": 0.472, "nmi": 0.727},
    ("SKMS", "100"): {"acc": 0.455, "nmi": 0.693, "adif": 16.3},
    ("SKKm", "known"): {"acc": 0.624, "nmi": 0.770},
    ("SKKm", "100"): {"acc": 0.469, "nmi": 0.781},
    ("SKLR", "known"): {"acc": 0.669, "nmi": 0.791},
    ("SKLR", "100"): {"acc": 0.468, "nmi": 0.760},
    ("CSP", "known"): {"acc": 0.625, "nmi": 0.812},
    ("CSP", "100"): {"acc": 0.654, "nmi": 0.812},
    ("MPCK-means", "known"): {"acc": 0.819, "nmi": 0.871},
    ("MPCK-means", "100"): {"acc": 0.539, "nmi": 0.816},
    ("CCN, KCL", "known"): {"acc": 0.824, "nmi": 0.889},
    ("CCN, KCL", "100"): {"acc": 0.781, "nmi": 0.874, "adif": 6.35},
    ("CCN, CCL", "known"): {"acc": 0.833, "nmi": 0.897},
    ("CCN, CCL", "100"): {"acc": 0.802, "nmi": 0.893},
}
"""Mean over the twenty evaluation alphabets: L2C, tables 1 and 6; CCL, table 4. SKMS finds K itself."""

_ACC_OF = ("k-means", "LPNMF", "LSC", "ITML", "SKMS", "SKKm", "SKLR", "CSP", "MPCK-means", "CCN, KCL")
_PERCENT = {
    "Angelic": (24, 26, 27, 48, 78, 40, 38, 72, 50, 82),
    "Atemayar_Qelisayer": (19, 14, 17, 51, 61, 51, 44, 61, 50, 82),
    "Atlantean": (19, 15, 19, 57, 72, 55, 51, 77, 47, 72),
    "Aurek-Besh": (23, 18, 21, 45, 49, 44, 45, 76, 71, 90),
    "Avesta": (22, 18, 19, 47, 29, 39, 38, 65, 52, 76),
    "Ge_ez": (19, 17, 17, 56, 58, 47, 42, 72, 55, 82),
    "Glagolitic": (22, 19, 21, 42, 38, 58, 62, 66, 61, 85),
    "Gurmukhi": (15, 13, 15, 44, 26, 54, 48, 60, 56, 80),
    "Kannada": (18, 14, 16, 48, 37, 46, 53, 60, 48, 62),
    "Keble": (20, 14, 18, 44, 60, 46, 44, 75, 68, 90),
    "Malayalam": (18, 15, 16, 36, 24, 49, 52, 50, 54, 72),
    "Manipuri": (17, 15, 16, 49, 40, 53, 54, 66, 62, 85),
    "Mongolian": (18, 18, 19, 50, 40, 37, 48, 75, 57, 86),
    "Old_Church_Slavonic_(Cyrillic)": (19, 16, 19, 42, 41, 52, 67, 71, 67, 94),
    "Oriya": (15, 13, 14, 46, 40, 54, 45, 57, 52, 67),
    "Sylheti": (14, 13, 14, 49, 32, 35, 37, 59, 43, 64),
    "Syriac_(Serto)": (20, 18, 19, 55, 70, 42, 35, 70, 47, 73),
    "Tengwar": (18, 18, 18, 51, 44, 49, 40, 61, 44, 66),
    "Tibetan": (18, 14, 16, 44, 31, 47, 54, 59, 55, 84),
    "ULOG": (20, 18, 18, 41, 41, 40, 41, 56, 38, 70),
}

OMNIGLOT_ACC = {
    method: {alphabet: row[column] / 100 for alphabet, row in _PERCENT.items()} for column, method in enumerate(_ACC_OF)
}
"""ACC by method and alphabet at K = 100 (L2C, table 5)."""

_COUNTS = {
    "Angelic": (20, 16, 26),
    "Atemayar_Qelisayer": (26, 17, 34),
    "Atlantean": (26, 21, 41),
    "Aurek-Besh": (26, 14, 28),
    "Avesta": (26, 8, 32),
    "Ge_ez": (26, 18, 32),
    "Glagolitic": (45, 18, 45),
    "Gurmukhi": (45, 12, 43),
    "Kannada": (41, 19, 44),
    "Keble": (26, 16, 28),
    "Malayalam": (47, 12, 47),
    "Manipuri": (40, 17, 41),
    "Mongolian": (30, 28, 36),
    "Old_Church_Slavonic_(Cyrillic)": (45, 23, 45),
    "Oriya": (46, 22, 49),
    "Sylheti": (28, 11, 50),
    "Syriac_(Serto)": (23, 19, 38),
    "Tengwar": (25, 12, 41),
    "Tibetan": (42, 15, 42),
    "ULOG": (26, 15, 40),
}

OMNIGLOT_CLASSES = {alphabet: row[0] for alphabet, row in _COUNTS.items()}
OMNIGLOT_K = {
    method: {alphabet: row[column] for alphabet, row in _COUNTS.items()}
    for column, method in enumerate(("SKMS", "CCN, KCL"), start=1)
}
"""Number of characters by alphabet; as SKMS finds it, and as NDC of CCN with KCL at K = 100 (L2C, table 6)."""

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

MNIST_NMI = {
    ("k-means", "known"): 0.528,
    ("LPNMF", "known"): 0.467,
    ("LSC", "known"): 0.756,
    ("spectral, pixels", "known"): 0.386,
}
"""NMI on all images of MNIST's test set with K = 10 (SPN, table 2, which calls LPNMF NMF-LP, LSC SC-LS, and spectral
clustering N-Cuts)."""

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
