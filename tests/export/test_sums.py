"""Policies of secure sums: files, bundles with them, and the crowd that they need."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from client_sdk.kernel import fedncf
from export import sums, unmaskers
from export.bundle import build
from export.cli import main
from export.errors import KeyFileError, PlanError
from export.plan import run_folder
from export.sums import Policy
from fedau2.wire import bundles, manifest
from fedau2.wire.secure import crowd, privacy
from tests import plans

ITEMS = [f"item-{number}" for number in range(40)]


@pytest.fixture(scope="module")
def bundle():
    return build("fedncf", ITEMS, plans.make(), 1, training=False)


def document(task, **changes):
    grids = {name: {"exponent": 12, "clip": 900} for name in manifest.shared(task)}
    fields = {"modulus_bits": 24, "value_bits": 14, "minimum": 100, "row_threshold": 10, "max_participations": 6}
    return {**fields, "touched_rows": 20.5, "grids": grids, **changes}


def written(folder, content):
    path = folder / sums.FILE
    path.write_bytes(Policy.model_validate(content).dump() if isinstance(content, dict) else content)
    return path


def test_what_is_written_is_read_back(bundle, tmp_path):
    policy = Policy.model_validate(document(bundle.manifest))
    assert sums.read(written(tmp_path, document(bundle.manifest))) == policy


def test_a_bundle_gets_the_policy_and_the_feature_and_keeps_the_rest(bundle):
    policy = Policy.model_validate(document(bundle.manifest))
    hidden = sums.add(sums.add(bundle, policy), policy)
    assert list(hidden.manifest.required_features) == ["secure-sums"]
    assert {grid.tensor: grid.clip for grid in hidden.manifest.secure_sums.grids} == dict.fromkeys(policy.grids, 900)
    assert hidden.manifest.secure_sums.minimum == 100
    assert not bundle.manifest.HasField("secure_sums")
    plain = hidden.manifest
    plain.ClearField("secure_sums")
    del plain.required_features[:]
    assert plain == bundle.manifest
    assert hidden.blobs == bundle.blobs


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"modulus_bits": 23}, "modulus_bits"),
        ({"value_bits": 13}, "value_bits"),
        ({"minimum": 63}, "minimum"),
        ({"grids": {}}, "grids"),
        ({"grids": {"x": {"exponent": 65, "clip": 1}}}, "exponent"),
        ({"grids": {"x": {"exponent": 1, "clip": 0}}}, "clip"),
        ({"touched_rows": 0}, "touched_rows"),
        ({"strange": 1}, "strange"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(bundle, tmp_path, change, text):
    (tmp_path / sums.FILE).write_text(str(document(bundle.manifest) | change))
    with pytest.raises(PlanError, match=text):
        sums.read(tmp_path / sums.FILE)


def test_a_policy_of_more_rows_than_there_are_is_refused(bundle):
    wrong = Policy.model_validate(document(bundle.manifest, touched_rows=len(ITEMS) + 1))
    with pytest.raises(PlanError, match=r"touched_rows is .*, and the catalogue has"):
        sums.add(bundle, wrong)


def test_a_policy_of_other_tensors_is_refused(bundle):
    grids = document(bundle.manifest)["grids"]
    del grids["item_gmf"]
    with pytest.raises(PlanError, match="item_gmf"):
        sums.add(bundle, Policy.model_validate(document(bundle.manifest, grids=grids)))


def test_a_crowd_that_shows_single_devices_is_refused_unless_thin_rows_stay_closed(bundle):
    thin = document(bundle.manifest, touched_rows=0.5)
    sums.expect_crowd(Policy.model_validate(thin), len(ITEMS))
    opened = Policy.model_validate(thin | {"row_threshold": 0})
    with pytest.raises(PlanError, match=f"minimum to {crowd.devices_for(0.5, len(ITEMS)):,}"):
        sums.expect_crowd(opened, len(ITEMS))
    sums.expect_crowd(Policy.model_validate(thin | {"row_threshold": 0, "touched_rows": 8.0}), len(ITEMS))


def test_the_command_builds_a_bundle_with_a_policy_and_says_what_stays_closed(bundle, tmp_path, capsys):
    (tmp_path / "plan.yaml").write_text("model: {name: fedncf}\nadversaries: none\n")
    (tmp_path / "items.txt").write_text("\n".join(ITEMS))

    def built(out, **changes):
        path = written(tmp_path, document(bundle.manifest, **changes))
        words = ["--plan", tmp_path / "plan.yaml", "--items", tmp_path / "items.txt", "--seed", 1, "--sums", path]
        return main(["bundle", "--out", str(tmp_path / out), *map(str, words)])

    assert built("hidden") == 0, capsys.readouterr().err
    assert "100 devices that touch 20.5 of 40 rows make 51.2 a row" in capsys.readouterr().out
    task = bundles.read_manifest(tmp_path / "hidden")
    assert task.secure_sums.row_threshold == 10
    assert main(["inspect", str(tmp_path / "hidden")]) == 0
    assert "sums     of at least 100 contributions" in capsys.readouterr().out
    assert built("thin", touched_rows=1.0, row_threshold=0) == 1
    assert "show one device alone" in capsys.readouterr().err
    assert not (tmp_path / "thin").exists()


def test_an_erased_attribute_is_named(tmp_path, capsys):
    widths = fedncf.Widths(gmf=2, mlp=2, hidden=(3,))
    smallest = {"eraser__steps": 1, "eraser__frequencies": 4}
    plan = plans.make(erased=[plans.GENDER], **smallest)
    task = build("fedncf", ITEMS, plan, 1, widths, training=False, serving=False).manifest
    sections = ["model: {name: fedncf, gmf: 2, mlp: 2, hidden: [3]}", "adversaries: none"]
    sections += ["eraser: {steps: 1, frequencies: 4}", "erased: [{attribute: gender, classes: [M, F]}]"]
    files = {"plan": "\n".join(sections), "items": "\n".join(ITEMS)}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    words = [f"--{name}={tmp_path / name}" for name in files] + [f"--sums={written(tmp_path, document(task))}"]
    assert main(["bundle", *words, "--seed=1", f"--out={tmp_path / 'out'}"]) == 0
    assert "gender to unlearn" in capsys.readouterr().out


def test_a_successor_keeps_the_policy(bundle, tmp_path):
    from export import bundle as bundles_of_export
    from export.successor import succeed

    hidden = sums.add(bundle, Policy.model_validate(document(bundle.manifest)))
    bundles_of_export.write(hidden, tmp_path / "old")
    built, _ = succeed(tmp_path / "old", [*ITEMS, "new"], 2)
    assert built.manifest.secure_sums == hidden.manifest.secure_sums


def test_a_run_that_added_up_integers_is_not_deployed_without_its_policy(tmp_path):
    settings = {
        "engine": {"sums": "grid", "local_noise": 0, "apm": 0},
        "after_training": {"noise": 0, "erasure": "none"},
    }
    (tmp_path / "config.yaml").write_text(str(settings))
    with pytest.raises(PlanError, match=r"give --sums .*sums\.yaml"):
        run_folder.expect_deployable(tmp_path)
    run_folder.expect_deployable(tmp_path, hidden=True)
    (tmp_path / "config.yaml").write_text(str(settings).replace("grid", "plain"))
    run_folder.expect_deployable(tmp_path)


def noisy(task, **changes):
    names = sorted(manifest.shared(task))
    grids = {name: {"exponent": 12, "clip": 900, "noise_share": len(names) ** -0.5} for name in names}
    return document(task, grids=grids, row_threshold=0, noise_multiplier=2.0, **changes)


def test_a_policy_of_noise_reaches_the_manifest_and_says_its_epsilon(bundle, tmp_path):
    policy = sums.read(written(tmp_path, noisy(bundle.manifest)))
    message = sums.add(bundle, policy).manifest.secure_sums
    assert message.noise_multiplier == 2
    assert sum(grid.noise_share**2 for grid in message.grids) == pytest.approx(1)
    expected = privacy.epsilon(privacy.mu(6, 2.0), 1e-5)
    assert f"at most 6 contributions of a device have epsilon {expected:.3g} at delta 1e-05" in sums.noise_line(policy)
    assert "no differential privacy" in sums.noise_line(Policy.model_validate(document(bundle.manifest)))


def test_noise_hides_thin_rows_so_that_any_crowd_will_do(bundle):
    thin = {"touched_rows": 0.5, "row_threshold": 0}
    sums.expect_crowd(Policy.model_validate(noisy(bundle.manifest) | thin), len(ITEMS))
    with pytest.raises(PlanError, match="row_threshold"):
        sums.expect_crowd(Policy.model_validate(document(bundle.manifest) | thin), len(ITEMS))


def pem(key):
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_the_key_of_one_unmasker_is_read_and_written_into_the_policy(bundle, tmp_path):
    key, path = Ed25519PrivateKey.generate().public_key(), tmp_path / "identity.pub"
    path.write_bytes(pem(key))
    read = unmaskers.read(path)
    assert read == key.public_bytes_raw()
    policy = Policy.model_validate(document(bundle.manifest))
    named = sums.add(bundle, policy, [read])
    assert list(named.manifest.secure_sums.unmaskers) == [read]
    for two in (lambda keys: sums.add(bundle, policy, keys), lambda keys: sums.opened_by(named, keys)):
        with pytest.raises(PlanError, match="at most 1"):
            two([read, bytes(32)])


def test_a_file_that_is_no_key_of_an_unmasker_is_refused(tmp_path):
    path = tmp_path / "wrong.pem"
    with pytest.raises(KeyFileError, match="cannot be read"):
        unmaskers.read(path)
    for content in (b"text", pem(X25519PrivateKey.generate().public_key())):
        path.write_bytes(content)
        with pytest.raises(KeyFileError, match=r"wrong\.pem"):
            unmaskers.read(path)


@pytest.mark.parametrize(("option", "message"), [("--unmasker", "cannot be read"), ("--sums", "cannot be read")])
def test_files_that_cannot_be_used_are_refused_before_anything_else_is_read(bundle, tmp_path, capsys, option, message):
    files = {"--sums": written(tmp_path, document(bundle.manifest)), option: tmp_path}
    words = [str(word) for pair in files.items() for word in pair]
    missing = ["--plan", "nowhere.yaml", "--items", "nowhere.txt", "--seed", "1", "--out", str(tmp_path / "out")]
    assert main(["bundle", *words, *missing]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "nowhere" not in error


def test_an_unmasker_needs_sums(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["bundle", "--plan", "plan.yaml", "--seed", "1", "--unmasker", "key.pem", "--out", str(tmp_path / "out")])
    assert "--unmasker needs --sums" in capsys.readouterr().err
