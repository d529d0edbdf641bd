import numpy as np
import pytest
import torch

from clusterkit.config import Context, Kind
from clusterkit.datasets.arrays import to_raw
from clusterkit.datasets.base import Request, narrowed
from clusterkit.datasets.catalogue import load_dataset, load_recorded
from clusterkit.datasets.tables import Content
from clusterkit.errors import InputError, UsageError
from clusterkit.reading import USUAL, Reading

RANDOM = np.random.default_rng(0)


def read(tmp_path, reading=USUAL, **arrays):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    return load_dataset(f"arrays:{path}", tmp_path, size=8, reading=reading)


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
    assert torch.equal(found.union().images, torch.from_numpy(x))
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


@pytest.mark.parametrize("form", ["hw", "hwc", "chw", "unit", "half", "integers", "sixteen bits"])
def test_forms_of_grey_images(tmp_path, form):
    x = ink(4, 8, 8)
    given = {
        "hw": x,
        "hwc": x[..., None],
        "chw": x[:, None],
        "unit": x / 255,
        "half": (x / 255).astype(np.float16),
        "integers": x.astype(np.int64),
        "sixteen bits": x.astype(np.uint16) * 257,
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
        (
            {"x": np.full((2, 4, 4), -0.5)},
            r"x\[0, 0, 0\] is -0.5, outside the range 0 to 1 of float64 pixels; subtract the",
        ),
        (
            {"x": np.full((2, 4, 4), 256)},
            r"x\[0, 0, 0\] is 256, outside the range 0 to 255 of int64 pixels; .* --pixel-max",
        ),
        ({"x": np.zeros((2, 4, 4, 2))}, "neither 1 nor 3 channels"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2)}, r"y has shape \(2,\); expected \(3,\)"),
        ({"x": np.zeros((3, 2)), "y": np.zeros((3, 1))}, "y has shape"),
        ({"x": np.zeros((2, 2)), "y": np.array([0, np.nan])}, r"first at y\[1\]"),
        ({"x": np.zeros((2, 2)), "y": np.array([b"a", b"\xff"])}, "y holds bytes that are not UTF-8"),
        ({"z": np.zeros(3)}, "no array x .it holds z"),
        ({}, "no array x .it holds nothing"),
        ({"x": np.array([[1, "a"]], dtype=object)}, "x holds Python objects, which could be unsafe to load"),
        (
            {"x": np.eye(2), "names": np.array(["a", "b"], object)},
            r"names holds Python .*write numpy.array\(names.tolist",
        ),
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
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "cut.npz").write_bytes(whole[:-300])
    (tmp_path / "flipped.npz").write_bytes(flipped)
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").touch()
    (tmp_path / "folder.npz").mkdir()
    words = dict.fromkeys(("objects.npy", "cut.npz", "flipped.npz", "text.npz", "empty.npz"), r"not a readable \.npz")
    (tmp_path / "made.h5").touch()
    words |= {"missing.npz": "no such file; name an existing one"}
    words |= {"made.h5": r"is no \.npz, \.npy or table; if embed made .* and the file with --features$"}
    for name, reason in words.items():
        with pytest.raises(InputError, match=rf"{name}: {reason}"):
            load_dataset(f"arrays:{tmp_path / name}", tmp_path)
    with pytest.raises(InputError, match=r"folder\.npz': is a folder, but arrays: reads a file"):
        load_dataset(f"arrays:{tmp_path}/folder.npz", tmp_path)
    with pytest.raises(FileNotFoundError):
        load_dataset(f"arrays:{tmp_path}/missing.npz", tmp_path)


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("bool", "float32"), ("uint8", "float32"), ("int16", "float32"), ("float16", "float32"), ("float32", "float32"),
        (">f4", "float32"), ("int32", "float64"), ("uint64", "float64"), ("float64", "float64"), (">f8", "float64"),
    ],
)  # fmt: skip
def test_vectors_keep_every_value_of_their_type(tmp_path, kind, kept):
    x = np.array([[0, 1], [1, 0]]).astype(kind)
    images = read(tmp_path, x=x).union().images
    assert images.dtype == getattr(torch, kept)
    np.testing.assert_array_equal(images.numpy(), x.astype(np.float64))


def test_large_integers_are_not_rounded(tmp_path):
    x = np.array([[2**53, 2**53 - 1], [2**31 + 1, 2**31]])
    assert read(tmp_path, x=x).union().images.to(torch.int64).tolist() == x.tolist()
    with pytest.raises(InputError, match=r"x has integers beyond 9e\+15, which are rounded"):
        read(tmp_path, x=x + 1)


def test_an_npy_file_holds_x_alone_and_is_mapped_if_it_is_large(tmp_path, monkeypatch):
    x = RANDOM.normal(size=(5, 3)).astype(np.float32)
    path = tmp_path / "x.npy"
    for most in (10, 2**30):
        np.save(path, x)
        monkeypatch.setattr("clusterkit.datasets.tables.MAPPED_FROM", most)
        data = load_dataset(f"features:{path}", tmp_path)
        assert (data.kind, data.labels, data.union().names) == (Kind.VECTORS, None, None)
        images = data.union().images
        assert torch.equal(images, torch.from_numpy(x))
        images.zero_()
        np.testing.assert_array_equal(np.load(path), x)


def test_only_arrays_takes_images(tmp_path):
    np.savez(tmp_path / "i.npz", x=np.zeros((2, 4, 4)))
    with pytest.raises(InputError, match=r"i\.npz: x has shape \(2, 4, 4\), and features: takes vectors .*arrays:"):
        load_dataset(f"features:{tmp_path}/i.npz", tmp_path)
    with pytest.raises(UsageError, match=r"--pixel-max: .*a\.npz holds vectors, not images; leave it out"):
        read(tmp_path, Reading(pixel_max=9), x=np.zeros((2, 4)))


def test_the_largest_pixel_can_be_named_and_is_recorded(tmp_path):
    x = ink(4, 8, 8)
    for given, white in ((x.astype(np.float32), 255), (x / 51, 5), (x.astype(np.int64) * 2, 510)):
        data = read(tmp_path, Reading(pixel_max=white), x=given)
        assert torch.equal(data.union().images, torch.from_numpy(x)[:, None])
        assert data.to_header()["reading"] == {"pixel_max": white}
        assert load_recorded(data.to_header(), Context(data=tmp_path)).fingerprint == data.fingerprint
    x = np.zeros((2, 4, 4), np.uint8)
    x[1, 2, 3] = 7
    with pytest.raises(InputError, match=r"x\[1, 2, 3\] is 7, outside the range 0 to 6 of uint8 pixels"):
        read(tmp_path, Reading(pixel_max=6), x=x)


@pytest.mark.parametrize("block", [1, 100, 2**20])
def test_the_scale_never_follows_from_one_value(tmp_path, monkeypatch, block):
    monkeypatch.setattr("clusterkit.datasets.tables.BLOCK", block)
    x = np.zeros((2, 8, 8))
    x[0, 4, 4] = 1
    first = read(tmp_path, x=x).union().images
    x[1, 4, 4] = 1.01
    with pytest.raises(InputError, match=r"x\[1, 4, 4\] is 1.01, outside"):
        read(tmp_path, x=x)
    assert first.max() == 255


@pytest.mark.parametrize(("x", "warned"), [(1, True), (31, True), (32, False), (0, False), (255, False)])
def test_images_that_use_little_of_their_range_are_reported(tmp_path, caplog, x, warned):
    read(tmp_path, x=np.full((2, 8, 8), x, np.uint8))
    assert ("so all images are dark" in caplog.text) == warned


def test_a_scale_that_makes_different_pixels_equal_is_refused(tmp_path):
    x = ink(60, 8, 8).astype(np.uint16) % 60
    with pytest.raises(
        InputError, match=r"x holds values from 0 to 59, which are all one grey .* 65535; name the larg"
    ):
        read(tmp_path, x=x)
    assert read(tmp_path, Reading(pixel_max=59), x=x).union().images.unique().numel() > 50
    with pytest.raises(InputError, match=r"values from 0.999 to 1, which .* in the range 0 to 1; subtract the value"):
        read(tmp_path, x=np.array([[[1.0, 0.999]], [[1.0, 1.0]]]))


@pytest.mark.parametrize("reading", [Reading(), Reading(pixel_max=3)])
def test_negative_pixels_are_to_be_shifted(tmp_path, reading):
    with pytest.raises(
        InputError, match=r"x\[1, 0, 0\] is -1, outside .*; subtract the value of black from x, so that"
    ):
        read(tmp_path, reading, x=np.array([[[0, 1.0]], [[-1, 3.0]]]))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["b.png", "é/a", "c"], ("b.png", "é/a", "c")),
        ([b"b", "é".encode(), b"c"], ("b", "é", "c")),
        ([7, 3, -1], ("7", "3", "-1")),
        ([7.0, 0.5, 3], ("7", "0.5", "3")),
    ],
)
def test_items_have_names(tmp_path, names, expected):
    data = read(tmp_path, x=np.eye(3), y=np.array([1, 0, 1]), names=np.array(names))
    assert data.union().names == expected
    assert data.union().title(1) == expected[1]
    chosen = load_dataset(f"arrays:{tmp_path}/a.npz@1", tmp_path)
    assert (chosen.union().names, chosen.fingerprint) == ((expected[0], expected[2]), data.fingerprint)
    assert read(tmp_path, x=np.eye(3)).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a", "b"], r"names has shape \(2,\); expected \(3,\), one name per item"),
        ("a", r"names has shape \(\)"),
        (["a", "b", "a"], "items 0 and 2 have the same name, a; rename one"),
        (["a", "1", "1"], "items 1 and 2 have the same name, 1; rename one"),
        (["a", "", "b"], "item 1 has no name"),
        ([b"a", b"\xff", b"b"], "names holds bytes that are not UTF-8"),
        ([0, 1, np.nan], r"names has 1 NaN or infinite values, the first at names\[2\]"),
        ([True, False, True], "names holds bool"),
        ([1j, 2, 3], "names holds complex128"),
    ],
)
def test_names_that_cannot_be_used(tmp_path, names, says):
    with pytest.raises(InputError, match=rf"^[^\n]*a\.npz: {says}[^\n]*$"):
        read(tmp_path, x=np.eye(3), names=np.array(names))


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.array(3.0), r"x is float64 \(\); expected numbers"),
        (np.zeros(3, [("a", float), ("b", float)]), "expected numbers"),
        (np.zeros((3, 2), complex), r"x is complex128 \(3, 2\); expected numbers"),
        (np.array([["2020-01-01"]], "M8[D]"), "expected numbers"),
        (np.array([[1, np.inf]]), r"x has 1 infinite or too large values, the first at x\[0, 1\]"),
        (np.array([[1, 1e300]], np.longdouble), r"x has values beyond 3e\+38; scale it"),
    ],
)
def test_x_that_cannot_be_used(tmp_path, x, says):
    with pytest.raises(InputError, match=rf"^[^\n]*a\.npz: [^\n]*{says}[^\n]*$"):
        read(tmp_path, x=x)


def test_y_that_overflows_is_called_so(tmp_path):
    with pytest.raises(InputError, match=r"y has values beyond 3e\+38; scale it"):
        read(tmp_path, x=np.eye(2), y=np.array([1, 1e300]))
    with pytest.raises(InputError, match="y holds complex128; write the classes as text or numbers"):
        read(tmp_path, x=np.eye(2), y=np.array([1, 1j]))


def test_an_image_of_bytes_is_left_as_it_was(tmp_path):
    x = 255 - ink(4, 8, 8)
    before = x.copy()
    to_raw(Content(x), Request(tmp_path, 8), tmp_path)
    np.testing.assert_array_equal(x, before)


def test_only_mps_narrows_items(caplog):
    caplog.set_level("INFO", "clusterkit")
    x = torch.zeros(2, dtype=torch.float64)
    assert narrowed(x, "cpu") is narrowed(x, "cuda:1") is x
    assert narrowed(x.float(), "mps").dtype == torch.float32
    assert not caplog.text
    assert narrowed(x, "mps").dtype == torch.float32
    assert "digits after the seventh are lost; use --device cpu" in caplog.text
