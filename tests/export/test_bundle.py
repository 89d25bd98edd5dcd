import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from client_sdk.kernel import fedncf
from export.bundle import build, from_plan, read, write
from export.errors import (
    DamagedBundleError,
    ItemsError,
    NotABundleError,
    PlanError,
    TargetError,
    UnknownModelError,
)
from export.items import read_items
from export.plan.planfile import complete
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY, TENSOR_SCOPE_PRIVATE
from fedau2.wire import blobs, manifest
from tests import plans

WIDTHS = fedncf.Widths(gmf=2, mlp=2, hidden=(3,))
ITEMS = ["a", "b", "c"]
SCRIPT = """
import sys
from pathlib import Path
from client_sdk.kernel import fedncf
from export.bundle import build, write
from tests import plans
plan = plans.make("fedncf", plans.GENDER)
widths = fedncf.Widths(gmf=3, mlp=4, hidden=(5, 3))
write(build("fedncf", [f"item-{i}" for i in range(11)], plan, 1, widths), Path(sys.argv[1]))
"""


def tiny(items=ITEMS, **entry):
    return build("fedncf", items, plans.make("fedncf", {**plans.GENDER, **entry}), 7, WIDTHS)


def test_required_features_are_entered_in_the_manifest():
    plan = plans.make("fedncf", plans.GENDER)
    bundle = build("fedncf", ITEMS, plan, 7, WIDTHS, training=False, required_features=["later-sums"])
    assert bundle.manifest.required_features == ["later-sums"]
    assert not tiny().manifest.required_features
    with pytest.raises(PlanError, match="malformed"):
        build("fedncf", ITEMS, plan, 7, WIDTHS, training=False, required_features=["Secure sums"])


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rewrite(folder, change):
    path = folder / "manifest.binpb"
    task = TaskManifest.FromString(path.read_bytes())
    change(task)
    path.write_bytes(task.SerializeToString(deterministic=True))


def test_the_same_arguments_give_the_same_bytes_in_another_process(folder, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path / "there")],
        env=os.environ | {"PYTHONHASHSEED": "123"},
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert contents(folder) == contents(tmp_path / "there")


def test_another_seed_gives_another_checkpoint_and_nothing_else(small, make_small):
    other = make_small(seed=2)
    first, second = (blobs.unpack(each.blob(each.manifest.checkpoint)) for each in (small, other))
    for name, value in first.items():
        assert np.array_equal(value, second[name]) == (not value.any())
    other.manifest.checkpoint.CopyFrom(small.manifest.checkpoint)
    assert other.manifest == small.manifest


def test_the_recommenders_initial_values_do_not_depend_on_the_adversaries(small, make_small):
    plain, values = make_small(entries=()), blobs.unpack(small.blob(small.manifest.checkpoint))
    for name, value in blobs.unpack(plain.blob(plain.manifest.checkpoint)).items():
        np.testing.assert_array_equal(value, values[name])


def test_every_blob_is_stored_under_its_hash(folder):
    stored = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "blobs").iterdir()}
    assert all(name == digest for name, digest in stored.items())
    assert set(stored) == {each.sha256.hex() for each in manifest.blobs(read(folder).manifest)}


def test_reading_gives_back_what_was_written(small, folder):
    bundle = read(folder)
    assert bundle.manifest == small.manifest
    assert bundle.blobs == small.blobs


def test_the_checkpoint_holds_what_is_not_private(small):
    task = small.manifest
    names = {spec.name for spec in task.tensors if spec.scope != TENSOR_SCOPE_PRIVATE}
    assert set(blobs.unpack(small.blob(task.checkpoint))) == names
    assert sum(spec.scope == TENSOR_SCOPE_ADVERSARY for spec in task.tensors) == 3
    assert blobs.catalogue(small.blob(task.catalogue)) == [f"item-{i}" for i in range(11)]


def test_an_empty_folder_may_be_the_target(small, tmp_path):
    write(small, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"manifest.binpb", "blobs"}


def test_parent_folders_are_made_and_nothing_stays_beside_the_bundle(small, tmp_path):
    write(small, tmp_path / "a" / "b")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_target_that_holds_something_is_left_as_it_was(small, tmp_path, kind):
    target = tmp_path / "target"
    kept = target
    if kind == "folder":
        target.mkdir()
        kept = target / "precious"
    kept.write_text("mine")
    with pytest.raises(TargetError, match="not empty"):
        write(small, target)
    assert contents(tmp_path) == {kept.relative_to(tmp_path): b"mine"}


def test_a_target_that_cannot_be_made_is_refused(small, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TargetError, match="cannot be written"):
        write(small, tmp_path / "file" / "bundle")


def test_a_failing_disk_leaves_nothing_behind(small, tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(TargetError, match="no space left"):
        write(small, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_a_folder_without_manifest_is_no_bundle(tmp_path):
    with pytest.raises(NotABundleError, match="is not a bundle"):
        read(tmp_path)


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff"])
def test_a_malformed_manifest_is_refused(folder, data):
    (folder / "manifest.binpb").write_bytes(data)
    with pytest.raises(DamagedBundleError):
        read(folder)


def test_another_format_version_is_refused_with_advice(folder):
    rewrite(folder, lambda task: setattr(task, "format", 1))
    with pytest.raises(DamagedBundleError, match=r"format 1.*build the bundle again"):
        read(folder)


@pytest.mark.parametrize("number", range(4))
def test_one_flipped_bit_in_any_blob_is_noticed(folder, number):
    path = sorted((folder / "blobs").iterdir())[number]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedBundleError, match=f"{path.name}.*damaged"):
        read(folder)


def test_a_truncated_blob_is_noticed(folder):
    path = next((folder / "blobs").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedBundleError, match="bytes instead of"):
        read(folder)


@pytest.mark.parametrize("number", range(4))
def test_a_missing_blob_is_noticed(folder, number):
    path = sorted((folder / "blobs").iterdir())[number]
    path.unlink()
    with pytest.raises(DamagedBundleError, match=f"{path.name} cannot be read"):
        read(folder)


@pytest.mark.parametrize(
    ("items", "message"),
    [([], "no items"), (["a", "b", "a"], "'a' twice"), (["a", ""], "line 2 .* empty"), (["a\nb"], "line break")],
)
def test_items_that_are_no_catalogue_are_refused(items, message):
    with pytest.raises(ItemsError, match=message):
        tiny(items=items)


@pytest.mark.parametrize("data", [b"a\nb c\n\xc3\xa9\n", b"a\r\nb c\r\n\xc3\xa9", b"\xef\xbb\xbfa\nb c\n\xc3\xa9"])
def test_items_are_lines_whatever_ends_them(tmp_path, data):
    path = tmp_path / "items"
    path.write_bytes(data)
    assert read_items(path) == ["a", "b c", "é"]


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "no items"), (b"\n", "no items"), (b"a\nb\na\n", "twice"), (b"a\n\nb\n", "line 2"), (b"\xff", "utf-8")],
)
def test_an_items_file_that_is_no_catalogue_is_refused_by_name(tmp_path, data, message):
    path = tmp_path / "items"
    path.write_bytes(data)
    with pytest.raises(ItemsError, match=f"{path}: .*{message}"):
        read_items(path)


def test_a_missing_items_file_is_refused_by_name(tmp_path):
    with pytest.raises(ItemsError, match="nowhere"):
        read_items(tmp_path / "nowhere")


def test_an_unknown_model_is_refused_with_those_that_there_are():
    with pytest.raises(UnknownModelError, match=r"'fedfoo'.*fedncf"):
        build("fedfoo", ITEMS, plans.make(), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan: plan.adversaries[0].protects.append("user_foo"), "user_foo"),
        (lambda plan: plan.adversaries[0].class_weights.append(1.0), "class weight"),
        (lambda plan: plan.local.ClearField("negatives"), "negatives"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(change, message):
    plan = plans.make("fedncf", plans.GENDER)
    change(plan)
    with pytest.raises(PlanError, match=message):
        build("fedncf", ITEMS, plan, 0, WIDTHS)


def test_a_plan_of_a_file_brings_its_recommender_and_its_widths():
    plan = complete({"adversaries": [{**plans.GENDER, "protects": ["user_gmf"]}], "model.hidden": [3]}, "fedncf")
    same = build("fedncf", ITEMS, plans.make("fedncf", plans.GENDER), 5, fedncf.Widths(hidden=(3,)))
    assert from_plan(plan, ITEMS, 5).manifest == same.manifest


def test_an_adversary_whose_tensors_cannot_be_named_is_refused():
    with pytest.raises(PlanError, match="128 bytes"):
        build("fedncf", ITEMS, plans.make("fedncf", {**plans.GENDER, "attribute": "g" * 120}), 0, WIDTHS)


def test_buffered_rounds_require_their_feature():
    plan = plans.make("fedncf", plans.GENDER, server__most_stale=3)
    bundle = build("fedncf", ITEMS, plan, 0, WIDTHS, training=False, serving=False)
    assert bundle.manifest.required_features == ["buffered-rounds"]
