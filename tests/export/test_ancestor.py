"""A bundle that goes on from the model that a run of the simulator kept."""

import numpy as np
import pytest
import yaml

from export import declaring, kept_model
from export.bundle import read
from export.cli import main
from export.errors import DamagedBundleError, NotABundleError, PlanError
from export.plan import message, planfile, resolve
from export.successor import succeed
from fedau2.wire import blobs, manifest

ITEMS = ["one", "two", "three"]
OFF = {"engine": {"apm": 0.0, "local_noise": 0.0}, "after_training": {"noise": 0.0, "erasure": "none"}}
PLAN = {
    "model": {"name": "fedncf", "gmf": 2, "mlp": 2, "hidden": [3]},
    "adversaries": [{"attribute": "gender", "classes": ["F", "M"]}],
}


def write_run(folder, config=OFF):
    plan = planfile.complete(PLAN)
    (folder / "plan.yaml").write_text(planfile.write(plan))
    (folder / "items.txt").write_text("".join(f"{item}\n" for item in ITEMS))
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    known = resolve.resolve(plan, {})
    task = declaring.draft("fedncf", len(ITEMS), message.to_message(known), known.model.widths())
    declaring.complete(task)
    rng = np.random.default_rng(1)
    tensors = {
        name: rng.normal(size=tuple(spec.shape)).astype(np.float32) for name, spec in manifest.shared(task).items()
    }
    kept_model.write(folder, tensors, ITEMS)
    return tensors


def tensors_of(bundle):
    return blobs.unpack(bundle.blob(bundle.manifest.checkpoint))


def test_a_bundle_of_a_run_has_its_plan_its_items_and_its_trained_tensors(tmp_path, capsys):
    trained = write_run(tmp_path)
    assert main(["bundle", "--from", str(tmp_path), "--seed", "1", "--out", str(tmp_path / "out")]) == 0
    assert "3 items taken over, 0 new" in capsys.readouterr().out
    bundle = read(tmp_path / "out")
    tensors = tensors_of(bundle)
    assert tensors.keys() == trained.keys()
    assert all(np.array_equal(tensors[name], trained[name]) for name in trained)
    assert blobs.catalogue(bundle.blob(bundle.manifest.catalogue)) == ITEMS
    assert [adversary.attribute for adversary in bundle.manifest.plan.adversaries] == ["gender"]
    assert not bundle.manifest.ancestors  # nobody's device has trained it
    assert main(["verify", str(tmp_path / "out")]) == 0


def test_another_catalogue_takes_over_the_rows_that_it_knows(tmp_path):
    trained = write_run(tmp_path)
    new, takeover = succeed(tmp_path, ["three", "four", "one"], 1)
    assert (takeover.items.kept, takeover.items.new, takeover.items.retired) == (2, 1, 1)
    rows = tensors_of(new)["item_gmf"]
    assert np.array_equal(rows[[0, 2]], trained["item_gmf"][[2, 0]])
    other, _ = succeed(tmp_path, ["three", "four", "one"], 2)
    assert not np.array_equal(tensors_of(other)["item_gmf"][1], rows[1])


def test_a_run_that_kept_no_model_is_refused(tmp_path):
    write_run(tmp_path)
    kept_model.remove(tmp_path)
    with pytest.raises(NotABundleError, match="kept no model to go on from: run it again with --keep model"):
        succeed(tmp_path, None, 1)


def test_a_damaged_model_is_refused(tmp_path):
    trained = write_run(tmp_path)
    kept_model.write(tmp_path, trained | {"item_gmf": trained["item_gmf"][:2]}, ITEMS)
    with pytest.raises(DamagedBundleError, match="does not fit the run's plan"):
        succeed(tmp_path, None, 1)
    (path,) = tmp_path.glob("model-*")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        DamagedBundleError, match=r"is damaged: .* does not match its hash, .*; run the simulation again"
    ):
        succeed(tmp_path, None, 1)


def test_a_run_that_added_up_integers_goes_on_with_a_policy_only(tmp_path):
    write_run(tmp_path, OFF | {"engine": OFF["engine"] | {"sums": "grid"}})
    with pytest.raises(PlanError, match="the run added up integers; give --sums"):
        succeed(tmp_path, None, 1)
    assert succeed(tmp_path, None, 1, hidden=True)[1].items.kept == len(ITEMS)


def test_a_run_with_a_protection_that_devices_lack_is_refused(tmp_path):
    write_run(tmp_path, OFF | {"after_training": {"noise": 0.5, "erasure": "none"}})
    with pytest.raises(PlanError, match="which only the simulator does"):
        succeed(tmp_path, None, 1)
