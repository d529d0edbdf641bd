import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clusterkit import __version__
from clusterkit.cli import app
from clusterkit.console import error, set_up
from clusterkit.studies import STUDIES

COMMANDS = [command.name for command in app.registered_commands]


def test_all_commands_are_there() -> None:
    assert sorted(COMMANDS) == [
        "adapt", "assign", "cluster", "datasets", "demo", "discover", "embed", "estimate-k", "evaluate", "inspect",
        "predict-pairs", "pretrain", "report", "self-train", "train-critic", "train-g",
    ]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_the_common_flags(command, cli):
    done = cli([command, "--help"])
    assert (done.code, done.err) == (0, "")
    assert f"Example: clusterkit {command}" in done.out
    for flag in ("--workdir", "--data", "--device", "--seed", "--json", "--quiet", "--debug", "--offline"):
        assert flag in done.out


@pytest.mark.parametrize("command", [*COMMANDS, *(f"reproduce {study}" for study in STUDIES)])
def test_help_is_whole_on_a_narrow_terminal(command, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli(f"{command} --help")
    assert done.code == 0
    assert "…" not in done.out
    assert "list[" not in done.out


def test_version_and_help(cli):
    assert cli("--version").out == f"{__version__}\n"
    done = cli("--help")
    assert (done.code, done.err) == (0, "")
    assert all(f"│ {command} " in done.out for command in COMMANDS)


def test_no_command_shows_the_help_and_is_an_error(cli):
    done = cli([])
    assert (done.code, done.out) == (2, "")
    assert "train-g" in done.err


def one_line(done, code, *words):
    assert done.code == code, done
    assert done.out == ""
    assert not any(words in done.err for words in ("Value error", "Input should", "unable to parse"))
    lines = [line for line in done.err.splitlines() if line.startswith("clusterkit: error: ")]
    assert len(lines) == 1, done.err
    assert done.err.splitlines()[-1] == lines[0]
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nothing", ("No such command 'nothing'", "clusterkit --help")),
        ("train-g", ("Missing argument 'dataset'", "train-g --help")),
        ("train-g digits --epoch 3", ("No such option: --epoch", "train-g --help")),
        ("train-g digits --epochs three", ("'--epochs'", "integer (see: ",)),
        ("train-g digits --epochs 0", ("'--epochs'", "1 (see: ",)),
        ("train-g digits --learning-rate high", ("'--learning-rate'", "(see: ",)),
        ("train-g digits --backbone vgg", ("--backbone", "vgg11")),
        ("train-g digits --learning-rate nan", ("--learning-rate",)),
        ("train-g digits --learning-rate inf", ("--learning-rate", "finite")),
        ("train-g digits --learning-rate -1", ("--learning-rate",)),
        ("train-g digits --seed -1", ("--seed",)),
        ("train-g digits --device cuda:x", ("--device cuda:x", "choose auto")),
        ("train-g digits --device tpu", ("--device tpu", "choose auto")),
        ("train-g digits --pretrained --backbone lenet", ("--pretrained", "resnet18")),
        ("train-g synthetic:blobs --backbone conv4", ("--backbone conv4", "use --backbone mlp")),
        ("train-g synthetic:blobs --backbone mlp --size 32", ("--size", "vectors")),
        ("train-g digits --size 8 --backbone lenet", ("--backbone", "8x8")),
        ("cluster digits --k 1", ("--k 1", "from 2")),
        ("cluster digits --init g --backbone lenet", ("--backbone", "--init g")),
        ("cluster digits --init g --precision bf16", ("--precision bf16", "--init g")),
        ("cluster digits --init g --pairs labels", ("--init g", "--pairs labels")),
        ("cluster digits --init g --method spectral", ("--init", "--method ccn")),
        ("cluster --method kmeans --k 3 --features features.h5", ("DATASET", "--method kmeans", "no pairs")),
        ("cluster digits --k ten", ("--k ten", "known")),
        ("cluster digits --k -5", ("--k",)),
        ("cluster digits --k 1798 --pairs labels", ("--k 1798", "1797")),
        ("cluster --pairs labels", ("--pairs labels", "data set")),
        ("cluster --pairs simulated:0.6,1", ("--pairs simulated:0.6,1", "data set")),
        ("cluster digits --pairs simulated:0.6", ("--pairs simulated:0.6", "SIMILAR,DISSIMILAR[,DENSITY]")),
        ("cluster digits --pairs simulated:0.6,1.2", ("--pairs simulated:0.6,1.2", "from 0 to 1")),
        ("cluster digits --pairs simulated:0.6,1 --k auto", ("--k auto", "--pairs simulated:0.6,1")),
        ("cluster digits --pairs simulated:0.6,1 --init g", ("--init g", "--pairs simulated:0.6,1")),
        ("cluster digits --pairs simulated:1,1,0.1 --method spectral", ("--pairs", "density", "--method ccn")),
        ("cluster digits --method kmeans --pairs simulated:1,1", ("--pairs", "--method kmeans uses no pairs")),
        ("cluster digits --method ward", ("--method ward: choose one of ccn, kmeans, ", "hdbscan")),
        ("cluster digits --loss nll", ("--loss nll", "kcl")),
        ("cluster digits --loss kcl --sigma nan", ("--sigma",)),
        ("cluster digits --loss ccl --sigma 3", ("--sigma", "--loss kcl")),
        ("cluster digits --method kmeans --epochs 3", ("--epochs", "kmeans")),
        ("cluster digits --method spectral --backbone vgg8", ("--backbone", "spectral")),
        ("cluster digits --method kmeans --constraints x.csv", ("--constraints", "--method kmeans uses no pairs")),
        ("cluster digits --method kmeans --pairs labels", ("--pairs", "--method kmeans uses no pairs")),
        ("cluster digits --method kmeans --resume", ("--resume", "kmeans")),
        ("adapt digits digits --method source-only --loss ccl", ("--loss", "source-only")),
        ("adapt digits digits --method jan --sigma 1", ("--sigma", "jan")),
        ("adapt digits digits --method cdan", ("--method", "ccn+")),
        ("adapt digits digits --loss ccl --sigma 1", ("--sigma", "--loss kcl")),
        ("adapt digits", ("Missing argument 'target'",)),
        ("evaluate digits", ("DATASET", "--g")),
        ("evaluate --ways 5", ("--ways", "--g")),
        ("evaluate --episodes 5", ("--episodes", "--g")),
        ("evaluate --bn source", ("--bn", "--g")),
        ("evaluate --g g.safetensors --assignments x.h5", ("--assignments", "--g")),
        ("evaluate --fail-under acc", ("--fail-under acc", "NAME=VALUE")),
        ("evaluate --fail-under acc=high", ("--fail-under acc=high", "NAME=VALUE")),
        ("evaluate --fail-under acc=nan", ("--fail-under acc=nan", "NAME=VALUE")),
        ("evaluate --fail-under adif=2", ("--fail-under adif", "a lower value is better", "acc")),
        ("evaluate --fail-under =0.5", ("--fail-under =0.5", "NAME=VALUE")),
        ("predict-pairs --form sparse", ("--form", "factored")),
        ("train-g nowhere", ("unknown data set 'nowhere'", "clusterkit datasets")),
        ("train-g glyphs", ("did you mean glyphs_bg",)),
        ("train-g glyphs_eval/Nowhere", ("no subset 'Nowhere'",)),
        ("train-g digits@0-10", ("classes 0-10 do not exist", "0 to 9")),
        ("train-g digits@3-1", ("classes 3-1",)),
        ("train-g digits@x", ("class range",)),
        ("train-g synthetic:spiral", ("synthetic", "moons")),
        ("train-g folder:", ("nothing follows 'folder:'",)),
    ],
)  # fmt: skip
def test_usage_errors(line, words, cli, tmp_path):
    one_line(cli(line), 2, *words)
    assert not (tmp_path / "clusterkit-out").exists()


def test_pairs_of_another_folder_name_the_data_set(cli):
    one_line(cli("cluster --method kmeans --k 3 --pairs elsewhere/pairs.h5"), 3, "elsewhere/pairs.h5: no such file")


UNUSED = {
    "cluster nowhere --method hdbscan": ["--k 100"],
    "cluster nowhere --method skms": ["--k 100"],
    "cluster nowhere": ["--sigma 2.0"],
    "cluster nowhere --init g": ["--backbone conv4"],
    "cluster nowhere --method kmeans": [
        "--loss ccl", "--sigma 2.0", "--init random", "--backbone conv4", "--learning-rate 0.001", "--optimizer adam",
        "--variation mild", "--rounds 1", "--precision fp32", "--pairs pairs.h5",
    ],
    "adapt nowhere nowhere --method jan": ["--loss kcl", "--sigma 2.0"],
    "adapt nowhere nowhere --loss ccl": ["--sigma 2.0"],
    "evaluate": ["--ways 5 --ways 20", "--episodes 1000", "--bn target"],
    "evaluate --g g.safetensors": ["--assignments assignments.h5"],
    "train-g nowhere --init some.safetensors": ["--backbone conv4", "--members 1"],
}  # fmt: skip


@pytest.mark.parametrize("line", UNUSED)
def test_a_flag_is_given_where_it_is_typed_whatever_its_value(line, cli):
    for flag in UNUSED[line]:
        one_line(cli(f"{line} {flag}"), 2, flag.split()[0])
    without = cli(line)
    assert without.code in (2, 3)
    assert not any(flag.split()[0] in without.err for flag in UNUSED[line]), "a default is no flag that was given"


@pytest.mark.skipif("torch" in sys.modules and sys.modules["torch"].cuda.is_available(), reason="CUDA is here")
@pytest.mark.parametrize("line", ["train-g digits", "estimate-k", "evaluate", "cluster digits", "demo"])
def test_cuda_where_there_is_none(line, cli):
    one_line(cli(f"{line} --device cuda"), 2, "--device cuda", "no CUDA device here")
    one_line(cli(f"{line} --device cuda:1"), 2, "--device cuda:1")


def test_an_error_nobody_foresaw(cli, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr("clusterkit.stages.train_g.run", broken)
    one_line(cli("train-g digits"), 1, "unexpected ZeroDivisionError: one two", "--debug")
    done = cli("train-g digits --debug")
    assert done.code == 1
    assert "Traceback" in done.err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 1, ("out of memory",)),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 1, ("out of memory",)),
        (RuntimeError("can't start new thread"), 1, ("a thread could not be started", "OMP_NUM_THREADS=1")),
        (RuntimeError("could not create a primitive"), 1, ("out of memory",)),
        (RuntimeError("could not create a primitive descriptor for a convolution"), 1, ("unexpected RuntimeError",)),
        (OSError("Unable to synchronously open file (memory allocation failed for file)"), 1, ("out of memory",)),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 1, ("out of memory",)),
        (ImportError("libx.so: failed to map segment from shared object"), 1, ("out of memory",)),
        (OSError(28, "No space left on device", "/some/where"), 3, ("/some/where: No space left on device",)),
        (KeyboardInterrupt(), 130, ("interrupted", "repeat the command, with --resume if it has this flag")),
    ],
)
def test_the_environments_errors(error, code, words, cli, monkeypatch):
    def broken(*_):
        raise error

    monkeypatch.setattr("clusterkit.stages.train_g.run", broken)
    one_line(cli("train-g digits"), code, *words)


def test_debug_keeps_the_exit_code(cli):
    done = cli("train-g nowhere --debug")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("clusterkit: error: unknown data set")


def test_the_environment_names_folders(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("CLUSTERKIT_WORKDIR", str(tmp_path / "w"))
    one_line(cli("predict-pairs"), 3, str(tmp_path / "w" / "g.safetensors"), "clusterkit train-g DATASET")
    monkeypatch.setenv("CLUSTERKIT_DATA", str(tmp_path / "d"))
    monkeypatch.setenv("CLUSTERKIT_OFFLINE", "1")
    one_line(cli("train-g mnist_train"), 3, str(tmp_path / "d"), "--offline is set", "train-images-idx3-ubyte")


def test_datasets(cli, tmp_path):
    done = cli("datasets")
    names = [line.split()[0] for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert {"glyphs_bg", "omniglot_eval", "mnist_test", "folder:PATH", "arrays:FILE", "features:FILE"} <= set(names)
    assert set(json.loads(cli("datasets --json").out)) == set(names)


def test_messages_and_warnings_of_libraries_are_lines(capsys):
    import warnings

    set_up(quiet=False)
    from clusterkit.console import log, once

    for _ in range(2):
        once("all are read as %s", "grey")
        log.info("all clusters are in use")
        log.info("")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        set_up(quiet=True)
        warnings.warn("something\nodd", stacklevel=1)
        log.info("not said")
    error("a\nb")
    assert capsys.readouterr().err.splitlines() == [
        "clusterkit: all are read as grey", "clusterkit: all clusters are in use", "clusterkit: ",
        "clusterkit: all clusters are in use", "clusterkit: ", "clusterkit: something odd", "clusterkit: error: a b",
    ]  # fmt: skip


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def test_ctrl_c_during_a_training(points, cli):
    """A process of its own, so that the signal and the exit code are the real ones."""
    before = {path: path.read_bytes() for path in points.iterdir()}
    line = "train-g synthetic:blobs --backbone mlp --epochs 100000"
    process = subprocess.Popen(
        [sys.executable, "-m", "clusterkit", *line.split()], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=points.parent, env=ENVIRONMENT, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    for text in process.stderr:
        if "epoch 1/" in text:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1].startswith("clusterkit: error: interrupted")
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in points.iterdir() if path.is_file()} == before
    assert (points / ".g.safetensors.state" / "g.safetensors").exists()


def test_nobody_reads_the_result(points):
    """A closed pipe is no failure, and does not open the gate."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "clusterkit", "evaluate", "--fail-under", "acc=1.5"]
    done = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=points.parent, env=ENVIRONMENT, check=False
    )
    os.close(writer)
    assert done.returncode == 4
    warning, error = done.stderr.splitlines()
    assert warning == "clusterkit: the clustering used the target's labels: labels, in the training of G"
    assert error == "clusterkit: error: --fail-under: acc is 1.0000, below 1.5"


def test_help_is_quick_and_light():
    code = "import sys; from clusterkit.__main__ import main; code = main(['--help']); print(code, *sys.modules)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1
    assert not {"torch", "numpy", "h5py", "sklearn"} & set(done.stdout.splitlines()[-1].split())
    assert Path("clusterkit-out").exists() is False
