"""Figures that papers published, to stand beside ours.

L2C is Hsu, Lv and Kira (2018); CCL is Hsu, Lv, Schlosser, Odom and Kira (2018).
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
