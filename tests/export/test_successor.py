"""A bundle that goes on from another: what is trained is taken over by item id, and the rest is drawn or predicted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.kernel import fcf, fedgnn, fedncf, fedrap, fedvae, pfedrec
from export import features
from export.bundle import Bundle, build, read, write
from export.cli import main
from export.errors import FeaturesError, PlanError
from export.successor import succeed
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs, item_axes, manifest, succession
from tests import plans

ITEMS = [f"item-{number}" for number in range(11)]
NEW = ["Item-3", *ITEMS[:3:-1], "fresh"]
WIDTHS = {
    "fedncf": fedncf.Widths(gmf=3, mlp=4, hidden=(5, 3)),
    "fedrap": fedrap.Widths(latent=3),
    "fedvae": fedvae.Widths(hidden=6, latent=4),
    "fcf": fcf.Widths(latent=3),
    "pfedrec": pfedrec.Widths(latent=3),
    "fedgnn": fedgnn.Widths(latent=3),
}


def trained(bundle, seed=5):
    """The bundle as training may leave it."""
    rng, tensors = np.random.default_rng(seed), blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    data = blobs.pack({name: rng.normal(size=value.shape).astype(np.float32) for name, value in tensors.items()})
    task = TaskManifest.FromString(bundle.manifest.SerializeToString())
    task.checkpoint.CopyFrom(blobs.resource(data))
    task.first_round, task.ancestors[:] = 7, [bytes(32)]
    return Bundle(task, dict(bundle.blobs) | {blobs.sha256(data): data})


@pytest.fixture(scope="module", params=WIDTHS)
def model(request):
    return request.param


@pytest.fixture(scope="module")
def ancestor(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp(model) / "bundle"
    bundle = build(model, ITEMS, plans.make(model, plans.GENDER), 1, WIDTHS[model], training=False)
    write(trained(bundle), folder)
    return folder


def tensors(bundle):
    return blobs.unpack(bundle.blob(bundle.manifest.checkpoint))


def test_trained_numbers_are_taken_over_by_item_id(ancestor, model):
    old = read(ancestor)
    new, takeover = succeed(ancestor, NEW, 2)
    items = takeover.items
    assert (items.kept, items.new, items.retired, takeover.anew) == (7, 2, 4, ())
    assert items.lookalikes == (("item-3", "Item-3"),)
    assert blobs.catalogue(new.blob(new.manifest.catalogue)) == NEW
    data = (ancestor / "manifest.binpb").read_bytes()
    assert list(new.manifest.ancestors) == [blobs.sha256(data), bytes(32)]
    assert new.manifest.first_round == 7
    assert (new.manifest.plan, new.manifest.model) == (old.manifest.plan, model)
    before, after = tensors(old), tensors(new)
    moved = 0
    for name, spec in manifest.shared(new.manifest).items():
        axis = item_axes.of(spec)
        if axis is None:
            assert np.array_equal(after[name], before[name])
            continue
        moved += 1
        for row, item in enumerate(NEW):
            if item in ITEMS:
                mine, theirs = after[name].take(row, axis), before[name].take(ITEMS.index(item), axis)
                assert np.array_equal(mine, theirs)
    # Of FedRAP's, one is an adversary's first layer.
    assert moved >= {"fedncf": 2, "fedrap": 2, "fedvae": 3, "fcf": 1, "pfedrec": 1, "fedgnn": 3}[model]
    again, _ = succeed(ancestor, NEW, 2)
    assert again.manifest == new.manifest
    other, _ = succeed(ancestor, NEW, 3)
    assert other.manifest.checkpoint != new.manifest.checkpoint


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "bundle"
    bundle = build("fedncf", ITEMS, plans.make("fedncf", plans.GENDER), 1, WIDTHS["fedncf"], training=False)
    write(trained(bundle), folder)
    return folder


def test_the_way_there_and_back_gives_the_same_checkpoint(small, tmp_path):
    there, _ = succeed(small, [*NEW, *(set(ITEMS) - set(NEW))], 2)
    write(there, tmp_path / "there")
    back, takeover = succeed(tmp_path / "there", ITEMS, 3)
    assert takeover.items.kept == len(ITEMS)
    assert back.manifest.checkpoint == read(small).manifest.checkpoint
    assert list(back.manifest.ancestors) == succession.ancestors((tmp_path / "there" / "manifest.binpb").read_bytes())


def test_a_bundle_of_an_older_version_names_no_item_axis(tmp_path):
    bundle = build("fedvae", ITEMS, plans.make("fedvae"), 1, WIDTHS["fedvae"], training=False)
    for spec in bundle.manifest.tensors:
        spec.ClearField("item_axis")
    write(trained(bundle), tmp_path / "old")
    new, takeover = succeed(tmp_path / "old", NEW, 2)
    assert takeover.anew == ()
    before, after = tensors(read(tmp_path / "old")), tensors(new)
    assert np.array_equal(after["item_decoder"][1], before["item_decoder"][10])


def test_the_command_says_what_it_takes_over(small, tmp_path, capsys):
    (tmp_path / "items").write_text("".join(f"{item}\n" for item in NEW))
    (tmp_path / "features").write_text("".join(f"{item},{number % 3}\n" for number, item in enumerate(ITEMS)))
    common = ["--from", str(small), "--seed", "2", "--out"]
    arguments = ["bundle", *common, str(tmp_path / "out"), "--items", str(tmp_path / "items")]
    assert main([*arguments, "--features", str(tmp_path / "features")]) == 0
    out = capsys.readouterr().out
    assert "fedncf over 9 items, gender to unlearn" in out
    assert "7 items taken over, 2 new (2 drawn, 0 predicted from features), 4 retired" in out
    assert "warning: 'item-3' is retired and 'Item-3' is new" in out

    (tmp_path / "plan.yaml").write_text("model: {gmf: 3, mlp: 9, hidden: [5, 3]}\n")
    assert main(["bundle", *common, str(tmp_path / "wider"), "--plan", str(tmp_path / "plan.yaml")]) == 0
    out = capsys.readouterr().out
    assert "11 items taken over, 0 new" in out
    assert "tensors that start anew: item_mlp, mlp.0.weight" in out


WRONG = {
    "from which fedrap cannot go on": ["--model", "fedrap"],
    "it is 'fedvae', but 'fedncf' was asked for": ["--plan", "plan.yaml"],
    "no item of the bundle that is gone on from has features": ["--features", "features"],
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_go_on_is_refused(small, tmp_path, capsys, monkeypatch, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text("model: {name: fedvae}\n")
    (tmp_path / "features").write_text("stranger,1\n")
    assert main(["bundle", "--from", str(small), "--seed", "1", "--out", "out", *WRONG[message]]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_features_need_a_bundle_to_learn_from(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["bundle", "--plan", "p", "--items", "i", "--features", "f", "--seed", "1", "--out", "o"])
    assert "--features needs --from" in capsys.readouterr().err


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_a_linear_map_is_found_again(inputs, outputs, seed):
    rng = np.random.default_rng(seed)
    fit, wanted = rng.normal(size=(60, inputs)), rng.normal(size=(7, inputs))
    matrix, offset = rng.normal(size=(inputs, outputs)), rng.normal(size=outputs)
    predicted = features.ridge(fit, fit @ matrix + offset, wanted)
    assert np.allclose(predicted, wanted @ matrix + offset, atol=1e-2)


def test_features_that_say_nothing_predict_the_mean():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(200, 3))
    predicted = features.ridge(rng.normal(size=(200, 2)), targets, rng.normal(size=(5, 2)))
    assert np.allclose(predicted, targets.mean(0), atol=0.2)
    same = features.ridge(np.ones((200, 2)), targets, np.ones((5, 2)))
    assert np.allclose(same, targets.mean(0), atol=1e-6)


def test_new_items_with_features_are_predicted_and_others_drawn(small):
    old = read(small)
    table = tensors(old)["item_gmf"]
    described = {item: tuple(table[row].tolist()) for row, item in enumerate(ITEMS)}
    described["fresh"] = described["item-3"]
    new, takeover = succeed(small, NEW, 2, described=described)
    drawn, _ = succeed(small, NEW, 2)
    assert takeover.predicted == 1
    assert np.allclose(tensors(new)["item_gmf"][-1], table[3], atol=0.02)
    assert np.array_equal(tensors(new)["item_gmf"][0], tensors(drawn)["item_gmf"][0])
    assert np.array_equal(tensors(new)["item_gmf"][1:-1], tensors(drawn)["item_gmf"][1:-1])


def test_predictions_that_no_number_holds_are_refused(small):
    described = {"item-1": (0.0,), "item-3": (1e-10,), "fresh": (1e60,)}
    with pytest.raises(FeaturesError, match="are not finite"):
        succeed(small, NEW, 2, described=described)


BROKEN = {
    "cannot be read": None,
    "there already": "a,1\na,2\n",
    "same number of numbers": "a,1\nb,1,2\n",
    "at least one": "a\nb\n",
    "could not convert": "a,x\n",
    "finite": "a,inf\n",
    "scale the features": "a,-1e200\n",
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_file_of_features_that_cannot_be_used_is_refused(tmp_path, message):
    if BROKEN[message] is not None:
        (tmp_path / "features").write_text(BROKEN[message])
    with pytest.raises(FeaturesError, match=message):
        features.read(tmp_path / "features")


def test_a_plan_of_another_recommender_is_refused_by_the_function_too(small):
    with pytest.raises(PlanError):
        succeed(small, None, 1, plan=plans.make("fedvae"))
