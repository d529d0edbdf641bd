from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from clusterkit.report.curves import write_curves


def rows(subsets: int, trainings: int, epochs: int, **losses: float) -> list[dict[str, object]]:
    return [
        {"subset": f"subset {s}", "training": f"round {t}", "epoch": e, **{n: v / e for n, v in losses.items()}}
        for s in range(subsets)
        for t in range(trainings)
        for e in range(1, epochs + 1)
    ]


def drawn(tmp_path: Path, *args: object) -> np.ndarray:
    write_curves(*args, tmp_path / "a.png")  # type: ignore[arg-type]
    return image.imread(tmp_path / "a.png")[..., :3]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 40), (3, 2, 10), (25, 3, 5)])
def test_any_number_of_trainings_and_losses(shape: tuple[int, int, int], tmp_path: Path) -> None:
    one = drawn(tmp_path, rows(*shape, loss=1.0), "title")
    two = drawn(tmp_path, rows(*shape, loss=1.0, pairs=-1.0), "title")
    assert two.shape[1] > one.shape[1] + 500
    assert one.std() > 0.01


def test_a_line_a_training_and_a_legend_outside(tmp_path: Path) -> None:
    alone = drawn(tmp_path, rows(1, 1, 10, loss=1.0), "")
    several = drawn(tmp_path, rows(2, 2, 10, loss=1.0), "")
    # The legend widens the picture and the axes stay as wide, so there is white between two frames.
    assert several.shape[1] > alone.shape[1]
    assert len(colours(several)) > len(colours(alone))


def colours(picture: np.ndarray) -> set[tuple[int, ...]]:
    """The saturated colours of many pixels."""
    pixels = (picture.reshape(-1, 3) * 255).round().astype(int)
    vivid = pixels[np.ptp(pixels, 1) > 100]
    values, counts = np.unique(vivid, axis=0, return_counts=True)
    return {tuple(value) for value, count in zip(values.tolist(), counts, strict=True) if count > 20}


def test_pictures_do_not_depend_on_when_they_are_drawn(tmp_path: Path) -> None:
    for name in "ab":
        write_curves(rows(2, 2, 5, loss=1.0), "t", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_losses_that_a_training_lacks_are_left_out(tmp_path: Path) -> None:
    made = [{"subset": "a", "training": "b", "epoch": e, "loss": 1.0 if e < 3 else None, "other": e} for e in (1, 2, 3)]
    assert drawn(tmp_path, made, "").std() > 0.01
