"""The sections of a run's configuration beside its plan: settings with type, range, unit, meaning and default."""

import math
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from export.plan.types import Number, Scale, Section, Text, Whole, setting
from fedau2.wire.secure import privacy
from simulator.config.own_files import OwnFiles

MOST_WORKERS = 1024

SPLITS = ("validation", "paper")

_Flag = Annotated[bool, Strict()]
_Seed = Annotated[Whole, Field(ge=0, lt=2**32)]
_Number = Annotated[Whole, Field(ge=1, lt=2**31)]


def _cutoffs(value: object) -> object:
    """Sorts cut-offs and adds 10; a single one may stand without a list."""
    whole = [value] if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(whole, (list, tuple)) or not all(isinstance(k, int) for k in whole):
        return whole
    return tuple(sorted({10, *whole}))


def _device(name: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:(0|[1-9]\d{0,2}))?", name):
        raise ValueError(f"a device is cpu, cuda, or cuda:N with the number of a GPU, not {name!r}")
    return name


def _erasure(value: object) -> object:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class _DataSet(Section):
    """The data set, its cuts, and the attributes to unlearn."""

    dataset: Text = setting("Data set, or the NAME of your own NAME.inter in --data-dir.", default="ml-100k")
    user_core: _Seed = setting("k-core: 0 is the data set's own, 1 is none.", "different items per user", default=0)
    item_core: _Seed = setting("k-core: 0 is the data set's own, 1 is none.", "different users per item", default=0)
    balance: _Flag = setting("Keep equally many users of every class of the (first) attribute.", default=False)
    minority: Annotated[Number, Field(ge=0, lt=0.5)] = setting(
        "Share of the users to which the (first) attribute's rarest class is cut; 0 cuts nothing.", default=0.0
    )
    attributes: Annotated[tuple[Text, ...], Field(min_length=1)] = setting(
        "The attributes to unlearn and to attack.", default=("gender",)
    )
    unknown: Annotated[Number, Field(ge=0, lt=1)] = setting(
        "Share of the clients whose attributes are unknown, so that they train without an adversary.", default=0.0
    )
    users: _Number = setting("Users of the synthetic data set.", default=600)
    items: _Number = setting("Items of the synthetic data set.", default=400)
    dependence: Annotated[Number, Field(ge=0, le=1)] = setting(
        "Dependence of the synthetic data set's tastes on the attribute.", default=0.5
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not all(map(str.strip, self.attributes)) or len(set(self.attributes)) < len(self.attributes):
            raise ValueError(f"attributes must be different names, not {', '.join(map(repr, self.attributes))}")
        if self.balance and self.minority:
            raise ValueError("balance and minority contradict each other: choose one")
        return self


class DataSettings(OwnFiles, _DataSet):  # pydantic lists the settings of the last class first
    """The data set, the attributes to unlearn, and how a data set of one's own is read."""


class EngineSettings(Section):
    """The way in which rounds are run."""

    name: Literal["batched", "fleet"] = setting(
        "batched trains all clients of a round at once; fleet makes every client a real SDK instance.",
        default="batched",
    )
    transport: Literal["inproc", "grpc"] = setting("Transport of a fleet.", default="inproc")
    trainer: Literal["torch", "onnx"] = setting(
        "What trains on a fleet's devices: torch, or onnx by the training graph, as devices do by default.",
        default="torch",
    )
    workers: Annotated[_Number, Field(le=MOST_WORKERS)] = setting(
        "Workers of the batched engine, processes of the attackers; the result does not depend on it.", default=2
    )
    executor: Literal["threads", "processes", "ray"] = setting(
        "The batched engine's workers: threads, processes, or actors of a Ray cluster; the result does not depend on "
        "it.",
        default="threads",
    )
    address: Text = setting(
        "Address of the Ray cluster, HOST:PORT, or auto for the one of this machine; local begins one on this machine.",
        default="local",
    )
    kernel: Literal["auto", "torch", "native"] = setting(
        "What computes local updates in the batched engine: auto is native where fedau2-native is installed and knows "
        "the model, and torch otherwise.",
        default="auto",
    )
    device: Annotated[Text, AfterValidator(_device)] = setting(
        "Where the batched engine's local updates and the scores of rankings are computed: cpu; or cuda or cuda:N, a "
        "GPU, by PyTorch and not by the native kernel.",
        default="cpu",
    )
    rounds: _Number = setting("Rounds to train.")
    fraction: Annotated[Number, Field(gt=0, le=1)] = setting(
        "Share of the clients in each round's cohort.", default=0.1
    )
    cohort: _Seed = setting("Clients in each round's cohort; 0 is the share that fraction says.", "clients", default=0)
    late: Annotated[Number, Field(ge=0, lt=1)] = setting(
        "Share of the clients that join after half of the rounds.", default=0.0
    )
    buffer: _Seed = setting(
        "With the plan's server.most_stale: contributions that close a round, while a cohort of devices is on its way; "
        "0 closes rounds with whole cohorts.",
        "contributions",
        default=0,
    )
    slow: Annotated[Number, Field(ge=0, lt=1)] = setting(
        "With engine.buffer: share of the clients that take ten times as long as the others.", default=0.0
    )
    seed: _Seed = setting("Seed of everything that is drawn.", default=0)
    checkpoints: Literal["float32", "float16", "int8"] = setting(
        "Encoding in which clients get checkpoints; the server's step is on exact ones.", default="float32"
    )
    sums: Literal["plain", "grid", "secure"] = setting(
        "plain adds floats; grid rounds each contribution to integers of bounded norm, as secure sums do, after a "
        "plain run that measures the norms; secure masks them too, in a fleet with an unmasker of its own.",
        default="plain",
    )
    plain_statistics: _Flag = setting(
        "Allow matchings and erased attributes in plain sums of the batched engine, in which a real coordinator would "
        "read each client's class; no effect with other sums.",
        default=False,
    )
    row_threshold: _Seed = setting(
        "Sums other than plain, without noise: a row that fewer clients touched is left out of the step; 0 leaves out "
        "none.",
        "clients",
        default=10,
    )
    noise_multiplier: Scale = setting(
        "Sums other than plain: deviation of the noise on each tensor's sum; 0 is none.",
        "clip over share",
        default=0.0,
    )
    max_participations: _Seed = setting(
        "Sums other than plain: most rounds of one client; 0 is any number, or with noise as few as the rounds need.",
        default=0,
    )
    local_noise: Scale = setting(
        "Baseline: standard deviation of Gaussian noise on each client's contribution.", "server.clip_norm", default=0.0
    )
    apm: Scale = setting(
        "Baseline: most noise on a component that a surrogate attacker reads; an approximation of APM.", default=0.0
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.local_noise and self.apm:
            raise ValueError("local_noise and apm are two baselines: choose one")
        for baseline in ("local_noise", "apm"):
            if getattr(self, baseline) and self.name != "batched":
                raise ValueError(f"{baseline} is simulated by the batched engine only: set engine.name to batched")
            if getattr(self, baseline) and self.sums != "plain":
                raise ValueError(f"{baseline} is noise on float contributions: set engine.sums to plain")
        if self.late and (self.max_participations or self.noise_multiplier):
            raise ValueError("late clients take no turns, which noise on sums and max_participations need: choose one")
        if self.sums == "grid" and self.name != "batched":
            raise ValueError("sums of grid are simulated by the batched engine only: set engine.name to batched")
        if self.sums == "secure" and self.name != "fleet":
            raise ValueError("sums of secure are made by real sessions: set engine.name to fleet")
        if self.checkpoints != "float32" and self.name != "batched":
            raise ValueError("encodings of checkpoints are simulated by the batched engine only: set engine.name so")
        if self.executor != "threads" and self.name != "batched":
            raise ValueError(f"executor {self.executor} is for cohorts in batches: set engine.name to batched")
        if self.device != "cpu":
            self._expect_device()
        if self.address != "local" and self.executor != "ray":
            raise ValueError("address is of a Ray cluster: set engine.executor to ray")
        if self.buffer and self.name != "fleet":
            raise ValueError("buffer is for a fleet's rounds: set engine.name to fleet")
        if self.slow and not self.buffer:
            raise ValueError("slow has no effect without buffer, since each round waits for its whole cohort: set both")
        if self.transport != "inproc" and self.name != "fleet":
            raise ValueError(f"transport {self.transport} is for a fleet: set engine.name to fleet")
        if self.trainer != "torch" and self.name != "fleet":
            raise ValueError(f"trainer {self.trainer} is for a fleet's devices: set engine.name to fleet")
        return self

    def _expect_device(self) -> None:
        """Checks what a device other than the CPU needs.

        Raises:
            ValueError: another setting contradicts it.
        """
        if self.name != "batched":
            raise ValueError(f"device {self.device} is for cohorts in batches: set engine.name to batched")
        if self.executor != "threads":
            raise ValueError(
                f"device {self.device} is shared by the threads of one process: set engine.executor to threads"
            )


class EvaluationSettings(Section):
    """The measurements and their times."""

    split: Literal["validation", "paper"] = setting(
        "validation (the last item but one is for validation) or paper (no validation; the round is chosen on test).",
        default="validation",
    )
    k: Annotated[tuple[Annotated[_Number, Field(le=1000)], ...], BeforeValidator(_cutoffs)] = setting(
        "Cut-offs K of the metrics on test items. 10 is always one of them, since NDCG@10 chooses the round.",
        "items",
        default=(10,),
    )
    evaluate_every: _Number = setting("Time between evaluations.", "rounds", default=25)
    evaluate_users: _Seed = setting(
        "Most users that are ranked: a random sample of so many, which is the same in every run; 0 ranks all.",
        "users",
        default=0,
    )
    personal_steps: Annotated[Whole, Field(ge=0, le=1000)] = setting(
        "Personal steps that each device takes before it ranks, as devices recommend; private state stays.", default=0
    )
    delta: Annotated[Number, Field(gt=0, lt=1)] = setting(
        "Probability with which the epsilon of noise on sums may fail; well below 1 / clients.", default=privacy.DELTA
    )
    attack_splits: _Number = setting(
        "Random splits of each attribute attack; a shuffle of its null has 10 of them at most.", default=40
    )


class AfterTraining(Section):
    """Changes to the chosen state before it is measured."""

    noise: Scale = setting("Baseline: standard deviation of Gaussian noise on the protected state.", default=0.0)
    erasure: Annotated[Text, BeforeValidator(_erasure)] = setting(
        "Erasure of the attributes from all user state: none; of what is linear, auto or a strength above 0 and up to "
        "1; of that and of what a kernel sees, kernel; transport; alignment; d2d; or u2u.",
        default="none",
    )
    erase_every: _Seed = setting(
        "Time from one erasure to the next, in training and in further rounds; 0 erases once, after training.",
        "rounds",
        default=0,
    )
    floor: Scale = setting(
        "Fixed Gaussian noise of each user on all user state, after an erasure; 0 is none.",
        "standard deviations of the state over users",
        default=0.0,
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        once = ("none", "transport", "alignment", "d2d", "u2u")
        kinds = (once[0], "auto", "kernel", *once[1:])
        if self.erasure not in kinds and not 0 < _strength(self.erasure) <= 1:
            raise ValueError(f"erasure takes {', '.join(kinds)}, or a number above 0 and up to 1, not {self.erasure!r}")
        if self.erase_every and self.erasure in once:
            raise ValueError(
                "erase_every repeats an erasure by maps for all: set erasure to kernel, auto or a strength"
            )
        if self.noise and self.erasure != "none":
            raise ValueError("noise and erasure both change the state after training: choose one")
        if self.noise and self.floor:
            raise ValueError("noise and floor both add noise to the state after training: choose one")
        return self


def _strength(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
