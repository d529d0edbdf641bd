from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.config import Kind
from clusterkit.datasets import catalogue
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.catalogue import PREFIXES, SOURCES, Name, chosen_classes, load_dataset, parse
from clusterkit.errors import InputError, UsageError

RANGES = st.lists(st.sampled_from(["0", "3", "0-4", "7-9"]), min_size=1, max_size=3).map(",".join)
ARGUMENTS = st.text("a/:. -,0é\n", min_size=1)


@given(st.data())
def test_a_name_written_out_is_read_back(data):
    classes = data.draw(st.none() | RANGES)
    source = data.draw(st.sampled_from([*SOURCES, *PREFIXES]))
    if source in PREFIXES:
        known = PREFIXES[source].subsets
        name = Name(source, data.draw(st.sampled_from(known) if known else ARGUMENTS), None, classes)
    else:
        known = SOURCES[source].subsets
        name = Name(source, "", data.draw(st.none() | st.sampled_from(known)) if known else None, classes)
    assert parse(name.full) == name


@given(st.lists(st.sampled_from([*SOURCES, "folder", "moons", ":", "/", "@", "0-3", ",", "\n"])).map("".join))
def test_any_text_is_a_name_or_a_usage_error(text):
    with suppress(UsageError):
        assert parse(text).full == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "unknown data set"),
        ("mnist", "did you mean mnist_t"),
        ("omniglot_evl", "did you mean omniglot_eval?"),
        ("omniglot_eval/Angelik", "did you mean omniglot_eval/Angelic?"),
        ("omniglot_eval/", "no subset"),
        ("mnist_train/", "no subset"),
        ("office31/ebay", "its subsets: amazon, dslr, webcam"),
        ("folder:", "nothing follows 'folder:'"),
        ("folder", "did you mean folder:?"),
        ("synthetic:stars", "one of blobs"),
        ("digits@a-b", "write @0-4"),
        ("digits@", "write @0-4"),
    ],
)
def test_bad_names_say_what_is_wrong(text, says):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["made.h5", "arrays:made.h5"])
def test_an_h5_file_given_as_a_data_set_is_answered_with_its_flag(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made.h5").touch()
    with pytest.raises((InputError, UsageError), match="the file with --features"):
        load_dataset(name, tmp_path)


def test_a_path_may_hold_slashes_colons_and_a_class_range_after_it():
    assert parse("folder:/a/b:c@2x/d@0-4") == Name("folder", "/a/b:c@2x/d", None, "0-4")


def test_class_ranges_are_united_and_sorted():
    assert chosen_classes("7,0-2,1", 8, "set") == [0, 1, 2, 7]


@pytest.mark.parametrize("text", ["8", "0-8", "4-2", "1,,2", "-", "3-"])
def test_bad_class_ranges(text):
    with pytest.raises(UsageError):
        chosen_classes(text, 8, "set")


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.fetch])
def test_an_absent_set_offline_names_every_file_it_expects(name, tmp_path):
    with pytest.raises(InputError, match="--offline") as caught:
        load_dataset(name, tmp_path, offline=True)
    expected = SOURCES[name].files(tmp_path)
    assert expected
    assert all(str(path) in str(caught.value) for path in expected)
    assert caught.value.exit_code == 3


def test_a_set_without_a_download_names_its_files_too(tmp_path):
    with pytest.raises(InputError, match="it cannot be downloaded") as caught:
        load_dataset("office31/amazon", tmp_path)
    assert str(tmp_path / "office31" / "amazon") in str(caught.value)


def test_a_failed_download_is_one_line(tmp_path, monkeypatch):
    def fail(root: Path) -> None:
        print("progress")
        raise RuntimeError("no route\nto host")

    monkeypatch.setitem(SOURCES, "usps_test", replace(SOURCES["usps_test"], fetch=fail))
    with pytest.raises(InputError, match=r"the download failed \(no route\)"):
        load_dataset("usps_test", tmp_path)


def test_what_a_download_prints_stays_off_stdout(tmp_path, monkeypatch, capsys):
    source = Source(
        lambda request: Raw(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), None, ()),
        Kind.PHOTOS,
        "",
        files=lambda root: [root / "file"],
        fetch=lambda root: print("progress"),
    )
    monkeypatch.setitem(SOURCES, "fetched", source)
    assert len(load_dataset("fetched", tmp_path / "new")) == 1
    assert capsys.readouterr() == ("", "progress\n")


def test_select_cuts_subsets_and_classes_and_keeps_the_ids():
    raw = Raw(
        torch.arange(6, dtype=torch.uint8).reshape(6, 1, 1, 1),
        torch.tensor([0, 1, 2, 0, 1, 2]),
        ("a", "b", "c"),
        torch.tensor([0, 0, 0, 1, 1, 1]),
        ("first", "second"),
    )
    request = Request(Path(), 1)
    name = Name("digits", classes="0,2")
    both = catalogue.select(raw, name, request)
    assert [subset.name for subset in both.subsets] == ["first", "second"]
    assert both.union().ids.tolist() == [0, 2, 3, 5]
    second = catalogue.select(raw, replace(name, subset="second"), request)
    assert second.union().ids.tolist() == [3, 5]
    assert second.union().images.flatten().tolist() == [3, 5]
    assert second.union().labels.tolist() == [0, 2]
    with pytest.raises(UsageError, match="no subset 'third'"):
        catalogue.select(raw, Name("digits", subset="third"), request)


def test_classes_need_labels():
    raw = Raw(torch.zeros(2, 1, 1, 1, dtype=torch.uint8), None, ())
    with pytest.raises(UsageError, match="it has no labels"):
        catalogue.select(raw, Name("folder", "x", classes="0"), Request(Path(), 1))


def test_the_fingerprint_depends_on_the_values_and_not_on_the_labels():
    images = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    ids = torch.arange(2)
    mark = catalogue.fingerprint(Raw(images, None, ()), ids)
    assert mark == catalogue.fingerprint(Raw(images, torch.tensor([0, 1]), ("a", "b")), ids)
    assert mark != catalogue.fingerprint(Raw(images + 1, None, ()), ids)
