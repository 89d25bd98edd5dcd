"""States moved by maps, and the sums from which the next maps are fitted."""

import numpy as np
import torch

from client_sdk import erasing
from client_sdk.draws import Samples
from client_sdk.kernel import batch, eraser, fedvae
from client_sdk.kernel.contract import Step
from client_sdk.kernel.fedvae_parameters import LATENT, Widths
from client_sdk.plan import EraserPlan
from coordinator.aggregation import erasing as server
from fedau2.v1.task_pb2 import Erased, Eraser, Plan, TaskManifest
from fedau2.wire import erasers

USERS, WIDTH = 300, 4
MESSAGE = Eraser(
    erased=[Erased(name="gender", attribute="gender", classes=["M", "F"])],
    protects=[LATENT], steps=2, frequencies=8, length=0.05, rate=1.0, minimum=1, seed=3,
)  # fmt: skip
PLAN = EraserPlan.of(MESSAGE)


def users(seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(USERS) % 2
    x = rng.standard_normal((USERS, WIDTH)) * np.where(labels[:, None], [1, 2, 1, 1], [2, 1, 1, 1]) + labels[:, None]
    keys = [number.to_bytes(16, "little") for number in range(USERS)]
    return torch.tensor(x, dtype=torch.float32), torch.from_numpy(erasing.places(PLAN, keys, {"gender": labels}))


def published(x, places, rounds=4, plan=PLAN, message=MESSAGE):
    """What a checkpoint publishes after some rounds of everybody."""
    task, state = TaskManifest(plan=Plan(eraser=message)), {}
    task.tensors.extend(eraser.tensors(message, {LATENT: WIDTH}))
    tensors = {spec.name: np.zeros(tuple(spec.shape), np.float32) for spec in task.tensors}
    for _ in range(rounds):
        maps = eraser.Maps.of(erasing.Maps.of(plan, tensors))
        sums = eraser.sums(plan, maps, x, places, 1)
        mean = {name: value[0].double().numpy() / USERS for name, value in sums.items()}
        served, kept = server.stepped(task, tensors, state, mean, {}, USERS)
        tensors, state = tensors | served, state | kept
    return tensors


def test_sums_of_clients_add_up_and_are_shaped_as_the_tensors():
    x, places = users()
    tensors = published(x, places)
    maps = eraser.Maps.of(erasing.Maps.of(PLAN, tensors))
    whole, apart = (eraser.sums(PLAN, maps, x, places, groups) for groups in (1, USERS))
    for name, value in whole.items():
        assert value.shape == (1, *tensors[name].shape)
        torch.testing.assert_close(apart[name].sum(0), value[0], rtol=1e-4, atol=1e-3)


def test_sums_are_those_of_fold_class_and_step():
    x, places = users()
    maps = eraser.Maps.of(erasing.Maps.of(PLAN, published(x, places)))
    found = eraser.sums(PLAN, maps, x, places, 1)
    member = places[:, 3] > 0  # the second class of the second fold
    unit = 1 / float(maps.inverse)
    torch.testing.assert_close(found[erasers.CLASSES][0, 3, 0], member.sum().float())
    torch.testing.assert_close(found[erasers.CLASSES][0, 3, 1:] * unit, x[member].sum(0), rtol=1e-4, atol=1e-3)
    z = ((x @ maps.matrix + maps.offset) / maps.scale)[member]
    expected = (z @ maps.frequencies[0].T).cos().sum(0) / np.sqrt(PLAN.frequencies)
    torch.testing.assert_close(found[erasers.STEPS][0, 0, 3, 1 : 1 + PLAN.frequencies], expected, rtol=1e-4, atol=1e-3)


def test_a_client_without_a_place_adds_nothing_and_is_moved_like_the_others():
    x, places = users()
    maps = eraser.Maps.of(erasing.Maps.of(PLAN, published(x, places)))
    assert not any(value.any() for value in eraser.sums(PLAN, maps, x, torch.zeros_like(places), 1).values())
    moved = eraser.erased(maps, x)
    torch.testing.assert_close(eraser.erased(maps, x[:1]), moved[:1], rtol=1e-4, atol=1e-4)


def test_maps_bring_the_classes_together():
    x, places = users()
    moved = eraser.erased(eraser.Maps.of(erasing.Maps.of(PLAN, published(x, places))), x)
    gap, left = (value[1::2].mean(0) - value[::2].mean(0) for value in (x, moved))
    assert left.norm() < 0.2 * gap.norm()


def test_shifts_bring_the_classes_together_and_change_no_variance_within_them():
    message = Eraser.FromString(MESSAGE.SerializeToString())
    message.shifts, message.steps = True, 1
    plan = EraserPlan.of(message)
    x, places = users()
    tensors = published(x, places, plan=plan, message=message)
    tensors[erasers.STEPS][:] = 0  # the steps come after the shifts
    maps = eraser.Maps.of(erasing.Maps.of(plan, tensors))
    silent = torch.zeros_like(places[:1])
    aligned = eraser._aligned(plan, maps, x, places)
    gap, left = (value[1::2].mean(0) - value[::2].mean(0) for value in (x, aligned))
    assert left.norm() < 0.3 * gap.norm()
    for part in (slice(0, None, 2), slice(1, None, 2)):
        torch.testing.assert_close(aligned[part].std(0), x[part].std(0))
    torch.testing.assert_close(eraser._aligned(plan, maps, x[:1], silent), eraser.erased(maps, x[:1]))
    for label in (0, 1):
        own = eraser.Maps.of(erasing.Maps.of(plan, tensors).of_user(plan, {"gender": label}))
        torch.testing.assert_close(eraser.erased(own, x[label::2]), aligned[label::2])


def test_the_embedding_is_the_one_that_is_served():
    widths = Widths(hidden=5, latent=3)
    rng = torch.Generator().manual_seed(0)
    values = {spec.name: torch.randn(tuple(spec.shape), generator=rng) for spec in fedvae.tensors(12, widths)}
    history = np.array([1, 4, 9])
    ones = np.ones(3, np.float32)
    rows, (made,) = batch.layout([[Samples(history, ones, 0 * ones, np.zeros(3, np.float32))]], 12, summed=False)
    shared = {n: v.index_select(0, rows.table) if n == "item_encoder" else v[None] for n, v in values.items()}
    embedded = fedvae.embed(shared, {}, Step(rows, made, None, 0))[LATENT]
    served = fedvae.user(fedvae.prepare(values), {}, torch.from_numpy(history))[LATENT]
    torch.testing.assert_close(embedded[0], served)
