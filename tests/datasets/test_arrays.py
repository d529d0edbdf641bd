import numpy as np
import pytest
import torch

from clusterkit.config import Kind
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError

RANDOM = np.random.default_rng(0)


def read(tmp_path, **arrays):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    return load_dataset(f"arrays:{path}", tmp_path, size=8)


def ink(*shape):
    """Images with a dark border."""
    x = RANDOM.integers(1, 256, shape, dtype=np.uint8)
    x[:, [0, -1]] = 0
    x[:, :, [0, -1]] = 0
    return x


def test_vectors(tmp_path):
    x = RANDOM.normal(size=(5, 3))
    found = read(tmp_path, x=x, y=np.array(["b", "a", "b", "c", "a"]))
    assert found.kind is Kind.VECTORS
    assert found.classes == ("a", "b", "c")
    assert found.labels.tolist() == [1, 0, 1, 2, 0]
    assert torch.equal(found.union().images, torch.from_numpy(x.astype(np.float32)))
    assert read(tmp_path, x=x).labels is None


@pytest.mark.parametrize(
    ("y", "classes", "labels"),
    [
        ([3, -1, 0, 3, -1], ("0", "3"), [1, -1, 0, 1, -1]),
        ([3.0, -1.0, 0.5, 3.0, -2.0], ("-2", "0.5", "3"), [2, -1, 1, 2, 0]),
        (np.array([7, 255, 0, 7, 0], np.uint8), ("0", "7", "255"), [1, 2, 0, 1, 0]),
        ([b"cat", b"dog", "é".encode(), b"cat", b"-1"], ("-1", "cat", "dog", "é"), [1, 2, 3, 1, 0]),
        (["1", "-1", "1", "-1", "a"], ("-1", "1", "a"), [1, 0, 1, 0, 2]),
        ([True, False, True, True, False], ("False", "True"), [1, 0, 1, 1, 0]),
    ],
)
def test_labels_are_read_as_what_they_stand_for(tmp_path, caplog, y, classes, labels):
    caplog.set_level("INFO", "clusterkit")
    found = read(tmp_path, x=np.zeros((5, 2)), y=np.array(y))
    assert (found.classes, found.labels.tolist()) == (classes, labels)
    left = labels.count(-1)
    assert (f"{left} of 5 items are unlabelled" in caplog.text) == (left > 0)
    assert load_dataset(f"arrays:{tmp_path / 'a.npz'}@0", tmp_path).union().ids.tolist() == [
        place for place, label in enumerate(labels) if label == 0
    ]


def test_a_set_of_unlabelled_items_has_no_labels(tmp_path):
    found = read(tmp_path, x=np.zeros((3, 2)), y=np.full(3, -1))
    assert (found.labels, found.classes, found.present_classes()) == (None, (), ())


def test_the_labelled_part_keeps_ids_and_content(tmp_path):
    x = RANDOM.normal(size=(5, 3)).astype(np.float32)
    found = read(tmp_path, x=x, y=np.array([4, -1, 2, -1, 4]))
    part = found.labelled()
    assert (part.labels.tolist(), part.present_classes(), len(part)) == ([1, 0, 1], ("2", "4"), 3)
    assert part.union().ids.tolist() == [0, 2, 4]
    assert torch.equal(part.union().images, torch.from_numpy(x[[0, 2, 4]]))
    assert (found.present_classes(), part.to_header()) == (("2", "4"), found.to_header())
    assert part.labelled() is part


@pytest.mark.parametrize("form", ["hw", "hwc", "chw", "unit", "bytes as floats"])
def test_forms_of_grey_images(tmp_path, form):
    x = ink(4, 8, 8)
    given = {
        "hw": x,
        "hwc": x[..., None],
        "chw": x[:, None],
        "unit": x / 255,
        "bytes as floats": x.astype(np.float32),
    }[form]
    found = read(tmp_path, x=given, y=np.array([0.5, 2, 2, 10]))
    assert torch.equal(found.union().images, torch.from_numpy(x)[:, None])
    assert found.kind is Kind.CHARACTERS
    assert found.classes == ("0.5", "2", "10")


def test_colour_images(tmp_path):
    x = RANDOM.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    expected = torch.from_numpy(x).permute(0, 3, 1, 2)
    for given in (x, expected.numpy()):
        found = read(tmp_path, x=given)
        assert torch.equal(found.union().images, expected)
        assert found.kind is Kind.PHOTOS


def test_dark_ink_on_light_is_inverted_and_said(tmp_path, caplog):
    caplog.set_level("INFO", "clusterkit")
    x = ink(4, 8, 8)
    assert torch.equal(read(tmp_path, x=255 - x).union().images, torch.from_numpy(x)[:, None])
    assert "inverted" in caplog.text


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.array([[0, 1], [np.nan, np.inf]])}, r"2 NaN or infinite values, the first at x\[1, 0\]"),
        ({"x": np.array([[1e300, 1]])}, r"x has values beyond 3e\+38; scale it"),
        ({"x": np.full((2, 4, 4), np.nan)}, "32 NaN or infinite values"),
        ({"x": np.full((2, 4, 4), -0.5)}, "x has values from -0.5 to -0.5"),
        ({"x": np.full((2, 4, 4), 256)}, "x has values from 256 to 256"),
        ({"x": np.zeros((2, 4, 4, 2))}, "neither 1 nor 3 channels"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2)}, r"y has shape \(2,\); expected \(3,\)"),
        ({"x": np.zeros((3, 2)), "y": np.zeros((3, 1))}, "y has shape"),
        ({"x": np.zeros((2, 2)), "y": np.array([0, np.nan])}, r"first at y\[1\]"),
        ({"x": np.zeros((2, 2)), "y": np.array([b"a", b"\xff"])}, "y holds bytes that are not UTF-8"),
        ({"z": np.zeros(3)}, "no array x .it holds z"),
        ({}, "no array x .it holds nothing"),
        ({"x": np.array([[1, "a"]], dtype=object)}, "not a readable .npz of plain arrays"),
        ({"x": np.array([["a", "b"]])}, "expected numbers"),
        ({"x": np.zeros((0, 4))}, "not empty"),
        ({"x": np.zeros((3, 0))}, "not empty"),
        ({"x": np.zeros(3)}, "expected numbers"),
    ],
)
def test_bad_content_is_one_line(tmp_path, arrays, says):
    with pytest.raises(InputError, match=rf"^[^\n]*a\.npz: [^\n]*{says}[^\n]*$") as caught:
        read(tmp_path, **arrays)
    assert caught.value.exit_code == 3


def test_files_that_are_no_npz(tmp_path):
    np.savez_compressed(tmp_path / "whole.npz", x=RANDOM.normal(size=(50, 50)))
    whole = (tmp_path / "whole.npz").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    np.save(tmp_path / "bare.npy", np.zeros((2, 2)))
    (tmp_path / "cut.npz").write_bytes(whole[:-300])
    (tmp_path / "flipped.npz").write_bytes(flipped)
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").touch()
    (tmp_path / "folder.npz").mkdir()
    words = dict.fromkeys(("bare.npy", "cut.npz", "flipped.npz", "text.npz", "empty.npz"), r"not a readable \.npz")
    words |= {"folder.npz": r"cannot be read \(Is a directory\)", "missing.npz": "no such file; name an .npz file"}
    for name, reason in words.items():
        with pytest.raises(InputError, match=rf"{name}: {reason}"):
            load_dataset(f"arrays:{tmp_path / name}", tmp_path)
    with pytest.raises(FileNotFoundError):
        load_dataset(f"arrays:{tmp_path}/missing.npz", tmp_path)
