"""One configuration: everything that decides a run's result."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import yaml

from fedau2 import files
from simulator.errors import ConfigError

ADVERSARIES = ("none", "mlp", "vae", "dsvae", "scalar")
TRIGGERS = ("sut", "global", "pretrain", "off")
OBJECTIVES = ("reversal", "confusion")
PROTECTED = ("embedding", "all", "each")
ENGINES = ("batched", "fleet")
TRANSPORTS = ("inproc", "grpc")
TRAINERS = ("torch", "onnx")
SPLITS = ("validation", "paper")

CHOICES: dict[str, tuple[str, ...]] = {
    "adversary": ADVERSARIES,
    "trigger": TRIGGERS,
    "objective": OBJECTIVES,
    "protect": PROTECTED,
    "engine": ENGINES,
    "transport": TRANSPORTS,
    "trainer": TRAINERS,
    "split": SPLITS,
}


RECOMMENDERS_OWN: dict[str, dict[str, Any]] = {
    "fedvae": {"server_learning_rate": 0.001, "adversary_learning_rate": 0.01},
    "fedrap": {"rounds": 100, "server_learning_rate": 0.01, "private_learning_rate": 0.001},
}
"""Defaults of `fedau2-sim run` for recommenders to which those of FedNCF do not fit."""


LARGEST = 1e38
"""Settings stay below it, so that they are numbers in float32 too."""

MOST_WORKERS = 1024

_FREE = ("workers",)
"""Settings on which no result depends."""


@dataclass(frozen=True)
class Config:
    """A run's configuration. `fedau2-sim run --help` has a line for each.

    Attributes:
        model: recommender.
        dataset: data set, or the NAME of your own NAME.inter in --data-dir.
        user_core: k-core, different items per user; 0 is the data set's own, 1 is none.
        item_core: k-core, different users per item; 0 is the data set's own, 1 is none.
        balance: keep equally many users of every class of the (first) attribute.
        minority: share of the users to which the (first) attribute's rarest class is cut; 0 cuts nothing.
        attribute: the attribute to unlearn and to attack, or several, as in gender,age.
        unknown: share of the clients that tell no attribute, so train without an adversary.
        adversary: the adversary's head, or none: the Original.
        trigger: when the reversed gradient reaches the embedding.
        objective: reversal (the paper's, gated by the trigger) or confusion (towards the prior, whatever the label).
        protect: embedding (the paper's), all private state, or each private tensor by an adversary of its own.
        class_weights: weigh the adversary's cross-entropy by inverse class frequency.
        epsilon: scale of the objective's gradient on the protected state.
        variance: lambda, the variance of n1 in dsvae and scalar.
        pretrain_rounds: for trigger pretrain.
        rounds: rounds to train.
        fraction: share of the clients in each round's cohort.
        local_steps: local steps of a client.
        server_learning_rate: of the server's Adam on shared tensors.
        private_learning_rate: of the clients' Adam on private tensors.
        adversary_learning_rate: of the server's Adam on the adversary.
        shared_learning_rate: of local SGD on shared tensors, with several local steps.
        clip_norm: L2 norm to which the server scales longer contributions down; 0 clips nothing.
        adversary_clip_norm: L2 norm to which clients scale a longer contribution to an adversary down; 0: never.
        adversary_noise: of Gaussian noise that clients add to that, in units of adversary_clip_norm.
        cover_rows: rows of other items that clients add to item tables, for each of their own.
        noise: standard deviation of Gaussian noise on the protected state after training: a baseline.
        local_noise: of Gaussian noise on each client's contribution, in units of clip_norm: a baseline.
        apm: most noise on a component that a surrogate attacker reads: an approximation of the baseline APM.
        erasure: at the end, from all user state: none; auto, or a strength up to 1, of what is linear; or transport.
        seed: of everything drawn.
        split: validation (last but one is validation) or paper (none; the round is chosen on test).
        engine: batched or fleet.
        transport: of a fleet.
        trainer: what trains on a fleet's devices: torch, or onnx by the training graph, as devices do by default.
        workers: threads of the batched engine, processes of the attackers; the result does not depend on it.
        evaluate_every: rounds between evaluations.
        attack_splits: random splits of each attribute attack, and of each shuffle of its null.
        users: of the synthetic data set.
        items: of the synthetic data set.
        dependence: of the synthetic data set's tastes on the attribute, 0 to 1.
    """

    model: str = "fedncf"
    dataset: str = "ml-100k"
    user_core: int = 0
    item_core: int = 0
    balance: bool = False
    minority: float = 0.0
    attribute: str = "gender"
    unknown: float = 0.0
    adversary: str = "dsvae"
    trigger: str = "sut"
    objective: str = "reversal"
    protect: str = "embedding"
    class_weights: bool = False
    epsilon: float = 400.0
    variance: float = 4.0
    pretrain_rounds: int = 50
    rounds: int = 600
    fraction: float = 0.1
    local_steps: int = 1
    server_learning_rate: float = 0.003
    private_learning_rate: float = 0.1
    adversary_learning_rate: float = 0.1
    shared_learning_rate: float = 0.05
    clip_norm: float = 0.0
    adversary_clip_norm: float = 0.0
    adversary_noise: float = 0.0
    cover_rows: float = 0.0
    noise: float = 0.0
    local_noise: float = 0.0
    apm: float = 0.0
    erasure: str = "none"
    seed: int = 0
    split: str = "validation"
    engine: str = "batched"
    transport: str = "inproc"
    trainer: str = "torch"
    workers: int = 2
    evaluate_every: int = 25
    attack_splits: int = 40
    users: int = 600
    items: int = 400
    dependence: float = 0.5

    def __post_init__(self) -> None:
        for each in fields(self):
            _check_type(each.name, getattr(self, each.name), type(each.default))
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")
        counts = ("rounds", "local_steps", "workers", "evaluate_every", "attack_splits", "users", "items")
        for name in counts:
            if not 1 <= getattr(self, name) < 2**31:
                raise ConfigError(f"{name} must be a number from 1 on, not {getattr(self, name)}")
        for name in ("pretrain_rounds", "seed", "user_core", "item_core"):
            if not 0 <= getattr(self, name) < 2**32:
                raise ConfigError(f"{name} must lie in 0 to 2**32 - 1, not {getattr(self, name)}")
        if self.workers > MOST_WORKERS:
            raise ConfigError(f"workers must be at most {MOST_WORKERS}, not {self.workers}")
        for name in (each.name for each in fields(self) if each.name.endswith("learning_rate")):
            if not 0 < getattr(self, name) < LARGEST:
                raise ConfigError(f"{name} must be positive and below {LARGEST:g}, not {getattr(self, name)}")
        if not 0 < self.fraction <= 1:
            raise ConfigError(f"fraction must lie in (0, 1], not {self.fraction}")
        if not 0 <= self.dependence <= 1:
            raise ConfigError(f"dependence must lie in [0, 1], not {self.dependence}")
        if not 0 <= self.unknown < 1:
            raise ConfigError(f"unknown must lie in [0, 1), not {self.unknown}")
        if not all(self.attributes) or len(set(self.attributes)) < len(self.attributes):
            raise ConfigError(f"attribute must be a name, or different names with commas, not {self.attribute!r}")
        if not 0 <= self.minority < 0.5:
            raise ConfigError(f"minority must lie in [0, 0.5), not {self.minority}")
        if self.balance and self.minority:
            raise ConfigError("balance and minority contradict each other: choose one")
        if self.erasure not in ("none", "auto", "transport"):
            _expect_strength(self.erasure)
        for name in (
            *("epsilon", "variance", "clip_norm", "adversary_clip_norm", "adversary_noise", "cover_rows"),
            *("noise", "local_noise", "apm"),
        ):
            if not 0 <= getattr(self, name) < LARGEST:
                raise ConfigError(f"{name} must be 0 or positive, and below {LARGEST:g}, not {getattr(self, name)}")
        self._check_together()

    def _check_together(self) -> None:
        """Checks settings that exclude each other."""
        if self.local_noise and not self.clip_norm:
            raise ConfigError("local_noise is in units of clip_norm, which must be above 0 with it")
        if self.adversary_noise and not self.adversary_clip_norm:
            raise ConfigError("adversary_noise is in units of adversary_clip_norm, which must be above 0 with it")
        if self.local_noise and self.apm:
            raise ConfigError("local_noise and apm are two baselines: choose one")
        if self.noise and self.erasure != "none":
            raise ConfigError("noise and erasure both change the state after training: choose one")
        for name in ("local_noise", "apm"):
            if getattr(self, name) and self.engine != "batched":
                raise ConfigError(f"{name} is simulated by the batched engine only: set engine to batched")
        if self.transport != "inproc" and self.engine != "fleet":
            raise ConfigError(f"transport {self.transport} is of a fleet: set engine to fleet")
        if self.trainer != "torch" and self.engine != "fleet":
            raise ConfigError(f"trainer {self.trainer} is of a fleet's devices: set engine to fleet")

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes to unlearn and to attack."""
        return tuple(name.strip() for name in self.attribute.split(","))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """A configuration in which what is absent has its recommender's default."""
        model = str(values.get("model", cls.model))
        return cls(**{**RECOMMENDERS_OWN.get(model, {}), **values})

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)

    def differences(self, there: Mapping[str, Any]) -> list[str]:
        """What of another configuration's values differs and decides the result, as `name: there, now here`."""
        own = self.to_dict()
        # A setting that was not known yet had its default's effect.
        before = {**{each.name: each.default for each in fields(self)}, **there}
        changed = [f"{k}: {before[k]}, now {v}" for k, v in own.items() if before[k] != v and k not in _FREE]
        return changed + [f"{k}: {there[k]}, now unknown" for k in there if k not in own]

    def save(self, path: Path) -> None:
        """Writes YAML; the file is there whole or not at all."""
        files.write(path, yaml.safe_dump(self.to_dict(), sort_keys=False).encode())

    @classmethod
    def load(cls, path: Path) -> "Config":
        """Reads YAML; what it leaves out has its recommender's default.

        Raises:
            ConfigError: not a configuration.
        """
        try:
            values = yaml.safe_load(path.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} is not a configuration: {' '.join(str(error).split())}") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{path} is not a configuration: it is not a list of settings")
        known = {each.name for each in fields(cls)}
        if unknown := [str(name) for name in values if name not in known]:
            raise ConfigError(f"{path} is not a configuration: there is no setting {', '.join(unknown)}")
        try:
            return cls.of(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error


def _check_type(name: str, value: object, expected: type) -> None:
    fits = isinstance(value, (int, float) if expected is float else expected)
    if not fits or isinstance(value, bool) != (expected is bool):
        hint = "; YAML takes 4.0e+2 for a number, but not 4e2" if isinstance(value, str) and expected is float else ""
        raise ConfigError(f"{name} must be of type {expected.__name__}, not {value!r}{hint}")


def _expect_strength(text: str) -> None:
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    if not 0 < strength <= 1:
        raise ConfigError(f"erasure must be none, auto, transport, or a number above 0 and up to 1, not {text!r}")
