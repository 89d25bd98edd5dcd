import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from export.bundle import read
from export.cli import main
from export.plan import planfile
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs

EXAMPLE = Path(__file__).parents[2] / "examples" / "plans" / "fedncf-paper.yaml"


@pytest.fixture
def arguments(tmp_path):
    (tmp_path / "items").write_text("a\nb\nc\n")
    (tmp_path / "plan.yaml").write_text("model: {gmf: 2, mlp: 2, hidden: [3]}\n")
    options = {"model": "fedncf", "items": tmp_path / "items", "plan": tmp_path / "plan.yaml", "seed": 1}

    def make(**changes):
        chosen = options | {"out": tmp_path / "out"} | changes
        return ["bundle", *(part for name, value in chosen.items() for part in (f"--{name}", str(value)))]

    return make


def test_a_bundle_of_the_example_plan_can_be_built_shown_and_verified(arguments, tmp_path, capsys):
    assert main(arguments(plan=EXAMPLE)) == 0
    assert "fedncf over 3 items" in capsys.readouterr().out
    assert read(tmp_path / "out").manifest.plan.adversaries[0].attribute == "gender"
    assert main(["inspect", str(tmp_path / "out")]) == 0
    assert "adversary.gender.hidden.weight" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("ok ") for line in lines)


def export(*arguments, stdout, unbuffered):
    """The command in a process of its own, whose output goes to a descriptor: exit code, and what it said of errors."""
    command = [sys.executable, *(["-u"] if unbuffered else []), "-m", "export", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", [False, True])
def test_output_that_nobody_can_read_is_told_by_the_exit_code_alone(arguments, tmp_path, unbuffered):
    assert main(arguments()) == 0
    for given, codes in (
        (["inspect", tmp_path / "out"], {1}),
        (["verify", tmp_path / "out"], {1}),
        (["--help"], {0, 1}),
    ):
        reading, writing = os.pipe()
        os.close(reading)
        code, errors = export(*given, stdout=writing, unbuffered=unbuffered)
        os.close(writing)
        assert (code in codes, errors) == (True, "")
    with Path("/dev/full").open("w") as full:
        code, errors = export("inspect", tmp_path / "out", stdout=full, unbuffered=unbuffered)
    assert (code, errors.splitlines()) == (1, ["fedau2-export: [Errno 28] No space left on device"])


def test_a_bundle_whose_devices_keep_float16_is_verified_as_such(arguments, tmp_path, capsys):
    assert main(arguments(precision="fp16")) == 0
    assert main(["verify", str(tmp_path / "out")]) == 0
    assert "agree with PyTorch to 0.002" in capsys.readouterr().out


def test_inspect_shows_everything_that_the_bundle_holds(small, folder, capsys):
    assert main(["inspect", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "fedncf, bundle format 2" in out
    assert "11: item-0, item-1, item-2, ..." in out
    for spec in small.manifest.tensors:
        assert spec.name in out
    for sha256 in small.blobs:
        assert sha256.hex() in out
    assert "item_mlp" in out
    assert "11 x 4  table  shared     normal 0.01" in out
    shared = 11 * (3 + 4) + (5 * 8 + 5) + (3 * 5 + 3) + (3 + 3) + 1
    sizes = [line.split()[1:] for line in out.splitlines() if line.startswith("size")]
    assert sizes[:3] == [
        ["shared", str(shared), "parameters"],
        ["adversary", f"{100 * 3 + 100 + 4 * 100}", "parameters"],
        ["private", "7", "parameters"],
    ]


@pytest.mark.parametrize(("catalogue", "message"), [(b"\xff\n", "not UTF-8"), (b"a\na\n", "'a' twice")])
def test_inspect_says_what_is_wrong_with_a_catalogue(folder, capsys, catalogue, message):
    task = TaskManifest.FromString((folder / "manifest.binpb").read_bytes())
    task.catalogue.CopyFrom(blobs.resource(catalogue))
    (folder / "manifest.binpb").write_bytes(task.SerializeToString())
    (folder / "blobs" / task.catalogue.sha256.hex()).write_bytes(catalogue)
    assert main(["inspect", str(folder)]) == 1
    assert message in capsys.readouterr().err


def test_inspect_lets_no_name_speak_to_the_terminal(folder, capsys):
    bundle = read(folder)
    bundle.manifest.model = "fed\x1b[2Jncf\u202e"
    (folder / "manifest.binpb").write_bytes(bundle.manifest.SerializeToString(deterministic=True))
    assert main(["inspect", str(folder)]) == 0
    assert "fed\\x1b[2Jncf\\u202e" in capsys.readouterr().out


def test_inspect_refuses_a_checkpoint_that_no_tensor_needs(folder, capsys):
    task = TaskManifest.FromString((folder / "manifest.binpb").read_bytes())
    task.ClearField("tensors")
    del task.plan.adversaries[:]
    (folder / "manifest.binpb").write_bytes(task.SerializeToString())
    assert main(["inspect", str(folder)]) == 1
    assert "at most 1024 can be needed" in capsys.readouterr().err


def test_inspect_loads_no_torch(folder):
    script = (
        "import sys; from export.cli import main; code = main(['inspect', sys.argv[1]]);"
        "sys.exit(code or bool({'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script, str(folder)], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "export", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "fedau2-export" in done.stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": "nowhere"}, "nowhere: the items cannot be read"),
        ({"plan": "nowhere"}, "nowhere: the plan file cannot be read"),
        ({"model": "fedfoo"}, "no recommender is called 'fedfoo'; there is fedncf"),
    ],
)
def test_bad_input_is_said_in_one_line_and_makes_nothing(arguments, tmp_path, capsys, changes, message):
    assert main(arguments(**changes)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"fedau2-export: {message}")
    assert len(printed.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["items", "plan"])
def test_what_is_missing_is_asked_for(arguments, capsys, missing):
    given = arguments()
    place = given.index(f"--{missing}")
    del given[place : place + 2]
    if missing == "plan":
        with pytest.raises(SystemExit):
            main(given)
        assert "give one of --plan and --from-run, or --from" in capsys.readouterr().err
    else:
        assert main(given) == 1
        assert "the items are missing: name their file with --items" in capsys.readouterr().err


def make_run(folder, changes=None, **after_training):
    """The files of a run folder that a bundle is made of, and its configuration."""
    folder.mkdir()
    plan = {"model": {"name": "fedncf", "gmf": 2, "mlp": 2, "hidden": [3]}, "adversaries": "none", **(changes or {})}
    (folder / "plan.yaml").write_text(planfile.write(planfile.complete(plan)))
    (folder / "items.txt").write_text("x\ny\n")
    off = {"noise": 0.0, "erasure": "none"}
    config = {"engine": {"apm": 0.0, "local_noise": 0.0}, "after_training": off | after_training}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_a_run_whose_protection_a_task_would_not_have_is_refused(tmp_path, capsys):
    run = make_run(tmp_path / "run", erasure="transport", noise=0.0)
    command = ["bundle", "--from-run", str(run), "--seed", "1", "--out", str(tmp_path / "out")]
    assert main(command) == 1
    assert "after_training.erasure is transport, which only the simulator does" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "engine: {apm: 0.0}\n", "- engine\n"])
def test_a_configuration_of_a_run_that_is_not_whole_does_not_pass_for_one_without_protection(tmp_path, capsys, text):
    run = make_run(tmp_path / "run")
    (run / "config.yaml").write_text(text)
    assert main(["bundle", "--from-run", str(run), "--seed", "1", "--out", str(tmp_path / "out")]) == 1
    assert "is missing in config.yaml, so the file is not whole" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "model: {name: fedncf}\n"])
def test_a_plan_of_a_run_that_is_not_whole_is_refused(tmp_path, capsys, text):
    run = make_run(tmp_path / "run")
    (run / "plan.yaml").write_text(text)
    assert main(["bundle", "--from-run", str(run), "--seed", "1", "--out", str(tmp_path / "out")]) == 1
    assert "is missing, so the file is not whole" in capsys.readouterr().err


def test_a_folder_that_is_not_a_run_is_refused(tmp_path, capsys):
    assert main(["bundle", "--from-run", str(tmp_path), "--seed", "1", "--out", str(tmp_path / "out")]) == 1
    assert "not the folder of a run" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["erased", "matchings"])
def test_a_run_that_all_devices_would_refuse_is_refused_with_advice(tmp_path, capsys, part):
    changes = {part: [{"attribute": "gender", "classes": ["M", "F"]}]}
    run = make_run(tmp_path / "run", changes=changes)
    assert main(["bundle", "--from-run", str(run), "--seed", "1", "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "all devices would refuse the bundle" in error
    assert "give its file with --sums" in error
    assert not (tmp_path / "out").exists()


def test_a_run_folder_brings_plan_and_items(arguments, tmp_path, capsys):
    run = make_run(tmp_path / "run")
    command = ["bundle", "--from-run", str(run), "--seed", "1", "--out"]
    assert main([*command, str(tmp_path / "one")]) == 0
    assert "fedncf over 2 items, no attribute to unlearn" in capsys.readouterr().out
    assert read(tmp_path / "one").manifest.items == 2
    assert main([*command, str(tmp_path / "two"), "--items", str(tmp_path / "items")]) == 0
    assert read(tmp_path / "two").manifest.items == 3


def test_a_full_target_is_refused(arguments, tmp_path, capsys):
    assert main(arguments(out=tmp_path)) == 1
    assert "not empty" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"items", "plan.yaml"}


def test_inspect_shows_required_features_where_there_are_some(folder, capsys):
    assert main(["inspect", str(folder)]) == 0
    assert "requires" not in capsys.readouterr().out
    path = folder / "manifest.binpb"
    task = TaskManifest.FromString(path.read_bytes())
    task.required_features.extend(["later-sums", "grid"])
    path.write_bytes(task.SerializeToString(deterministic=True))
    assert main(["inspect", str(folder)]) == 0
    assert "\nrequires later-sums, grid\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_what_is_no_whole_bundle_is_refused(folder, tmp_path, capsys, command):
    assert main([command, str(tmp_path)]) == 1
    assert "is not a bundle" in capsys.readouterr().err
    task = TaskManifest.FromString((folder / "manifest.binpb").read_bytes())
    blob = folder / "blobs" / task.checkpoint.sha256.hex()
    blob.write_bytes(b"x" * task.checkpoint.size)
    assert main([command, str(folder)]) == 1
    assert "is damaged" in capsys.readouterr().err
    task.format = 99
    (folder / "manifest.binpb").write_bytes(task.SerializeToString())
    assert main([command, str(folder)]) == 1
    assert "bundle format 99" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["unknown"], ["bundle"], ["bundle", "--seed", "x"], ["inspect"]])
def test_wrong_usage_is_exit_code_two(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err
