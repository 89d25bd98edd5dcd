"""A catalogue grows and shrinks under a running task: every number of every model follows its item, on both ends."""

import numpy as np
import pytest

import export
from client_sdk import CarriedOver, FedClient, NewModel, Result, testing
from client_sdk.kernel import fcf, fedgnn, fedncf, fedrap, fedvae, pfedrec
from coordinator import cli
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY
from fedau2.wire import blobs, item_axes
from tests import plans
from tests.recommenders import lean

OLD = [f"movie-{number}" for number in range(50)]
NEW = [*OLD[:10:-1], "movie-50", *OLD[1:11]]  # in another order; movie-0 is retired
WIDTHS = {
    "fedncf": fedncf.Widths(gmf=3, mlp=4, hidden=(5, 3)),
    "fedrap": fedrap.Widths(latent=3),
    "fedvae": fedvae.Widths(hidden=6, latent=4),
    "fcf": fcf.Widths(latent=3),
    "pfedrec": pfedrec.Widths(latent=3),
    "fedgnn": fedgnn.Widths(latent=3),
}
DEVICES = 2


def by_item(bundle):
    """Every number of a checkpoint: by item and tensor, and by tensor where it belongs to no item."""
    task, tensors = bundle.manifest, blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    items = blobs.catalogue(bundle.blob(task.catalogue))
    numbers = {}
    for spec in task.tensors:
        if spec.name not in tensors:
            continue
        if (axis := item_axes.of(spec)) is None:
            numbers[spec.name] = tensors[spec.name]
            continue
        parts = np.split(np.moveaxis(tensors[spec.name], axis, 0), len(items))  # one span in all three models
        numbers |= {(spec.name, item): part for item, part in zip(items, parts, strict=True)}
    return numbers


def vectors(client, items):
    """A client's private numbers, in the same way."""
    state = client._store.private(client.status().model.task_id)
    numbers = {}
    for part in ("values", "first", "second"):
        for name, value in getattr(state, part).items():
            if name == "item_personal":
                numbers |= {(part, name, item): value[0, row] for row, item in enumerate(items)}
            else:
                numbers[part, name] = value[0]
    return numbers, state.steps.item()


def same(one, other):
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[key], other[key]) for key in one)


def kept(numbers):
    return {key: value for key, value in numbers.items() if not {"movie-0", "movie-50"} & set(np.ravel(key))}


class Operator:
    def __init__(self, server, folder, capsys):
        self._server, self._folder, self._capsys, self._exports = server, folder, capsys, 0

    def __call__(self, *arguments):
        assert cli.main([*map(str, arguments), "--admin", self._server.admin]) == 0
        return self._capsys.readouterr().out.strip()

    def newest(self, task_id):
        """The newest model of a task, as a bundle."""
        self._exports += 1
        out = self._folder / f"export-{self._exports}"
        self("export", task_id, "--out", out)
        return export.read(out)


def train(clients):
    for client in clients:
        while client.sync().result is not Result.UPLOADED:
            pass  # the round of the others is being committed


@pytest.mark.parametrize("model", lean(WIDTHS))
def test_everything_follows_its_item(model, tmp_path, capsys):
    plan = plans.make(model, plans.GENDER)
    export.write(export.build(model, OLD, plan, 1, WIDTHS[model]), tmp_path / "old")
    successor, takeover = export.succeed(tmp_path / "old", NEW, 2)
    assert (takeover.items.kept, takeover.items.new, takeover.items.retired, takeover.anew) == (49, 1, 1, ())
    export.write(successor, tmp_path / "new")
    with testing.LocalCoordinator(bundle=tmp_path / "old", goal=DEVICES, rounds=9) as server:
        operator = Operator(server, tmp_path, capsys)
        clients = [
            FedClient.open(tmp_path / f"device {number}", server.address, server.population)
            for number in range(DEVICES)
        ]
        for number, client in enumerate(clients):
            client.record_many([*OLD[5 * number : 5 * number + 12], "movie-50"])
            client.set_attribute("gender", "F" if number else "M")
        train(clients)
        server.wait_for_round(1)
        train(clients)
        server.wait_for_round(2)
        first = clients[0].status().model.task_id
        before, states = operator.newest(first), [vectors(client, OLD) for client in clients]
        second = operator("replace", first, "--bundle", tmp_path / "new")
        begun = operator.newest(second)

        same(kept(by_item(before)), kept(by_item(begun)))
        drawn = by_item(successor)
        fresh = [key for key in drawn if "movie-50" in key]
        assert fresh
        same({key: drawn[key] for key in fresh}, {key: by_item(begun)[key] for key in fresh})
        names = {spec.name for spec in begun.manifest.tensors if spec.scope == TENSOR_SCOPE_ADVERSARY}
        assert names
        assert begun.manifest.first_round == 2

        seen = []
        for client in clients:
            assert len(client.recommend(k=3)) == 3  # still from the model before
            assert client.status().unlisted == 1

            def look(event, client=client):  # an assertion here would only be logged
                if isinstance(event, CarriedOver | NewModel):
                    seen.append((type(event), *vectors(client, NEW), len(client.recommend(k=3))))

            client.events.subscribe(look)
        train(clients)
        assert [kind for kind, *_ in seen] == [CarriedOver, NewModel] * DEVICES
        for number, (_, now, taken, recommended) in enumerate(seen):
            before_it, steps = states[number // 2]
            same(kept(before_it), kept(now))
            assert (taken, recommended) == (steps, 3)
        for client, (_, steps) in zip(clients, states, strict=True):
            assert client.status().unlisted == (0 if client is clients[1] else 1)  # one has used the retired item
            assert (client.status().model.task_id, client.status().model.round) == (second, 2)
            assert client._store.contributed(second) == 2
            assert vectors(client, NEW)[1] > steps
            assert "movie-0" not in {each.item for each in client.recommend(k=50)}
            client.close()


@pytest.mark.parametrize("model", lean(WIDTHS))
def test_a_personalised_device_recommends_the_same_after_a_successor_and_after_its_starter(model, tmp_path, capsys):
    plan = plans.make(model, plans.GENDER)
    plan.server.shared.learning_rate = 1e-12  # so that only the device's own vectors change its scores
    export.write(export.build(model, OLD, plan, 1, WIDTHS[model]), tmp_path / "old")
    export.write(export.succeed(tmp_path / "old", NEW, 2)[0], tmp_path / "new")
    with testing.LocalCoordinator(bundle=tmp_path / "old") as server:
        operator = Operator(server, tmp_path, capsys)
        how = {"starter": tmp_path / "old", "personal_steps": None}
        with FedClient.open(tmp_path / "device", server.address, server.population, **how) as client:
            client.record_many(OLD[1:9])
            plain = client.score(OLD[1:])
            client.personalise(30)
            personal = client.score(OLD[1:])
            assert (personal != plain) is (model != "fedvae")  # which has no vectors of the user
            tasks = [client.status().model.task_id]
            for change in (None, "new"):
                if change:
                    operator("replace", tasks[-1], "--bundle", tmp_path / change)
                assert client.sync().result is Result.UPLOADED
                tasks.append(client.status().model.task_id)
                after = client.score(OLD[1:])
                np.testing.assert_allclose([after[item] for item in personal], [*personal.values()], rtol=1e-4)
            assert len(set(tasks)) == 3
