"""The batched engine and rankings on another device than the CPU, and devices that are not there or too small."""

import numpy as np
import pytest
import torch

from client_sdk.kernel import fedncf, fedvae
from export.bundle import build
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs
from simulator import gpu
from simulator.engines import batched
from simulator.engines.batched import BatchedEngine
from simulator.engines.executors.dispatch import Dispatcher
from simulator.engines.executors.threads import Threads
from simulator.engines.kernels import PYTORCH, choose
from simulator.errors import ConfigError, DeviceMemoryError
from simulator.evaluation.scoring import Scorer
from simulator.experiment import resume
from simulator.experiment.run import run
from simulator.population.population import Population
from tests import plans
from tests.client_sdk.kernel import elsewhere
from tests.simulator.engines.executors.in_process import InProcess
from tests.simulator.quiet import Quiet
from tests.simulator.runs import SMALL, figures
from tests.simulator.settings import change, make

CLIENTS, ITEMS, ROUNDS = 12, 30, 3
CPU = torch.device("cpu")
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
PLACES = [pytest.param("pretended"), pytest.param("cuda", marks=CUDA)]
SETTINGS = {
    "fedncf": {},
    "fedrap": {"local__steps": 2},
    "fcf": {"server__clip_norm": 0.1},
    "pfedrec": {},
    "fedgnn": {},
    "fedvae": {"matchings": [plans.GENDER], "matching__frequencies": 8, "matching__minimum": 2},
    "fedvae erased": {
        "erased": [plans.GENDER],
        "eraser__frequencies": 8,
        "eraser__minimum": 2,
        "eraser__steps": 2,
        "eraser__rate": 1.0,
    },
}


def engine_of(kind, device=CPU, start=Threads, workers=1):
    model = kind.split()[0]
    heads = () if kind == "fedvae erased" else (plans.GENDER,)
    plan = plans.make(model, *heads, **SETTINGS[kind])
    widths = {"fedvae": fedvae.Widths(hidden=8, latent=4)}.get(model)
    bundle = build(model, [str(item) for item in range(ITEMS)], plan, 0, widths, training=False, serving=False)
    rng = np.random.default_rng(3)
    interactions = [np.sort(rng.choice(ITEMS, 6, replace=False)) for _ in range(CLIENTS)]
    genders = [("M", "F", None)[client % 3] for client in range(CLIENTS)]
    population = Population.create(bundle.manifest, 0, interactions, {"gender": genders})
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    how = {"kernel": "torch", "start": start, "device": device}
    return BatchedEngine(bundle.manifest, checkpoint, population, workers, **how), population


def trained(*arguments, **options):
    engine, population = engine_of(*arguments, **options)
    for _ in range(ROUNDS):
        engine.train_round(np.arange(CLIENTS))
    return engine, population


def here(job, population, workers):
    """An executor of this thread, which alone sees a pretended device."""
    return Dispatcher(InProcess(), job, population, workers)


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("place", PLACES)
def test_rounds_and_scores_agree_with_those_of_the_cpu(place, kind):
    engine, population = trained(kind)
    with elsewhere.entered(place) as device:
        other, others = trained(kind, device, start=here)
        scores, states = scored(other, others, device)
    expected = scored(engine, population, CPU)
    np.testing.assert_allclose(scores, expected[0], 1e-4, 1e-4)
    np.testing.assert_allclose(states, expected[1], 1e-4, 1e-4)
    for name, value in engine.checkpoint.items():
        assert np.abs(other.checkpoint[name] - value).max() <= 1e-3 * max(np.abs(value).max(), 1e-3), name


def scored(engine, population, device):
    scorer = Scorer(
        engine._manifest, engine.checkpoint, population.state.values, population.interactions, device=device
    )
    members = np.arange(CLIENTS)
    (state,) = scorer.embedding(members).values()
    return scorer(members), state


@CUDA
@pytest.mark.parametrize("workers", [1, 3])
def test_a_gpu_gives_the_same_bytes_each_time(workers, monkeypatch):
    monkeypatch.setattr(batched, "CHUNK", 3)
    device = gpu.device("cuda")
    runs = [trained("fedncf", device), trained("fedncf", device, workers=workers)]
    digests = [(blobs.pack(engine.checkpoint), population.state.pack()) for engine, population in runs]
    assert digests[0] == digests[1]


class Short:
    """A recommender's gradients, for which memory is short in some calls."""

    def __init__(self, short):
        self.gradients, self.short, self.calls = fedncf.gradients, short, 0

    def __call__(self, *arguments):
        self.calls += 1
        if self.short(self.calls):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.gradients(*arguments)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_chunk_for_which_memory_is_short_is_tried_again_alone_to_the_same_bytes(workers, monkeypatch):
    monkeypatch.setattr(batched, "CHUNK", 3)
    engine, population = trained("fedncf", workers=workers)
    monkeypatch.setattr(fedncf, "gradients", Short(lambda call: call in (2, 3, 8)))
    again, others = trained("fedncf", workers=workers)
    assert blobs.pack(again.checkpoint) == blobs.pack(engine.checkpoint)
    assert others.state.pack() == population.state.pack()


def test_a_device_that_is_too_small_is_an_error_and_the_engine_goes_on_from_its_state(monkeypatch):
    engine, population = engine_of("fedncf")
    saved, before = engine.snapshot(), population.state.pack()
    with monkeypatch.context() as patch:
        patch.setattr(fedncf, "gradients", Short(lambda call: True))
        with pytest.raises(DeviceMemoryError, match=r"too little memory: .* goes on from the last evaluation"):
            engine.train_round(np.arange(CLIENTS))
    assert engine.snapshot() == saved
    assert population.state.pack() == before
    engine.train_round(np.arange(CLIENTS))


def test_a_run_that_a_device_was_too_small_for_goes_on_to_the_same_result(tmp_path, monkeypatch):
    config = change(SMALL, kernel="torch")
    whole = figures(run(config, tmp_path / "whole", None, Quiet(), attacks="none"))
    with monkeypatch.context() as patch:
        patch.setattr(fedncf, "gradients", Short(lambda call: call > 2))  # a chunk a round, until memory is short
        with pytest.raises(DeviceMemoryError):
            run(config, tmp_path / "short", None, Quiet(), attacks="none")
    assert resume.unfinished(tmp_path / "short")
    assert figures(run(config, tmp_path / "short", None, Quiet(), attacks="none")) == whole


def test_scores_for_which_memory_is_short_are_an_error(monkeypatch):
    engine, population = engine_of("fedncf")
    monkeypatch.setattr(fedncf, "score", Short(lambda call: True))
    with pytest.raises(DeviceMemoryError, match="too little memory"):
        scored(engine, population, CPU)


def test_the_native_kernel_is_of_the_cpu():
    cuda = torch.device("cuda")
    assert choose("auto", TaskManifest(model="fedncf"), cuda) is PYTORCH
    with pytest.raises(ConfigError, match=r"trains on the CPU only, and engine\.device is cuda"):
        choose("native", TaskManifest(model="fedncf"), cuda)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_a_gpu_is_told_so():
    assert gpu.device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"engine\.device is cuda:1, and PyTorch .* here: install .* to cpu"):
        gpu.device("cuda:1")


@CUDA
def test_a_gpu_that_is_not_there():
    with pytest.raises(ConfigError, match="choose one of them"):
        gpu.device("cuda:999")


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:0", "cuda:12"])
def test_names_of_devices(name):
    assert make(device=name).engine.device == name


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "cuda:01", "cuda:1 ", "mps", "meta", 0])
def test_other_names_are_refused(name):
    with pytest.raises(ConfigError, match=r"engine\.device"):
        make(device=name)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"name": "fleet"}, "set engine.name to batched"),
        ({"executor": "processes"}, "set engine.executor to threads"),
        ({"executor": "ray"}, "set engine.executor to threads"),
    ],
)
def test_what_cannot_use_a_gpu_is_refused(settings, advice):
    with pytest.raises(ConfigError, match=advice):
        make(device="cuda", **settings)
