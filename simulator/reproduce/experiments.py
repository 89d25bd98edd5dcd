"""The experiments of the paper as data: the methods that each compares, and the columns and plots of its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from export.plan.fragments import Fragment
from simulator.config.presets import PRESETS

ORIGINAL = "original"
"""The method that every other is compared with: no adversary, and the other's learning rates and rounds."""


@dataclass(frozen=True)
class Method:
    """A row of an experiment's table.

    Attributes:
        name: of the method.
        preset: the preset that it starts from.
        change: differences from the preset, by dotted path in a configuration.
    """

    name: str
    preset: str
    change: Fragment = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """An experiment, which one command repeats.

    Attributes:
        name: of the experiment.
        title: title of its report.
        claim: the paper's result.
        methods: beside the Original.
        metrics: columns of its table; a run's metrics need not have all of them.
        curve: column of `rounds.parquet` that is drawn by round; empty: no column.
        plot: the plot of the metrics: `dots`, `frontier` or `triggers`.
        settings: settings of all methods, the Original too, by dotted path in a configuration.
    """

    name: str
    title: str
    claim: str
    methods: Sequence[Method]
    metrics: Sequence[str] = ()
    curve: str = ""
    plot: str = "dots"
    settings: Fragment = field(default_factory=dict)

    def of(self, attributes: Sequence[str]) -> Self:
        """Returns the experiment with columns for every attribute.

        Args:
            attributes: those of each run, joined by `TOGETHER`. The columns of a run's further attributes begin with
                the attribute's name.
        """
        further = {name: None for run in attributes for name in run.split(TOGETHER)[1:]}
        attacks = [metric for metric in self.metrics if metric.startswith((*OF_ATTRIBUTES, LEAKS))]
        columns = [f"{name}/{metric}" for name in further for metric in attacks]
        return replace(self, metrics=(*self.metrics, *columns))


TOGETHER = "+"
"""Joins the names of attributes that one run unlearns together."""

OF_ATTRIBUTES = ("bacc_", "auc_")
"""Beginnings of the metrics of attribute attacks."""

QUALITY = ("ndcg@10", "hr@10", "ndcg@10_full")
ATTACKS = (
    *("bacc_largest", "auc_largest", "bacc_largest_all", "auc_largest_all"),
    *("bacc_paper", "bacc_strong", "bacc_paper_all", "bacc_strong_all"),
)
LEAKS, TRIGGERS = "leak_", "trigger_rate_"
"""Prefixes of metrics: what is read from contributions, and how often the trigger fired for each class."""

_HEAD, _TRIGGER, _VARIANCE, _EPSILON, _PRETRAIN_ROUNDS = (
    f"plan.adversary.{name}" for name in ("head", "trigger", "variance", "epsilon", "pretrain_rounds")
)
_EPSILONS, _VARIANCES = (25.0, 100.0, 400.0, 1600.0), (1.0, 4.0, 10.0, 16.0)


def _heads() -> list[Method]:
    plain = [Method(head, "paper", {_HEAD: head}) for head in ("mlp", "vae")]
    return plain + [
        Method(f"{head}-{variance:g}", "paper", {_HEAD: head, _VARIANCE: variance})
        for head in ("dsvae", "scalar")
        for variance in _VARIANCES
    ]


_MODELS = {"fedncf", "fedrap", "fedvae"}
"""The paper's recommenders: a table has the methods that all of them have."""

_TABLE1 = Experiment(
    "table1",
    "Recommendation and attribute inference, by method",
    "FedAU2 lowers the balanced accuracy of attribute inference by up to 26.42% and NDCG@10 by 4.51% on average.",
    [Method(name, name) for name, of in PRESETS.items() if name != ORIGINAL and of.keys() >= _MODELS],
    (*QUALITY, *ATTACKS),
)

_FIG3 = Experiment(
    "fig3",
    "When the reversed gradient reaches the embedding: always, after some rounds, or by SUT",
    "SUT adapts to each user and needs no number of pretraining rounds, which has to be tuned for every model.",
    [
        Method("global", "paper", {_TRIGGER: "global"}),
        *(
            Method(f"pretrain-{rounds}", "paper", {_TRIGGER: "pretrain", _PRETRAIN_ROUNDS: rounds})
            for rounds in (10, 25, 50, 100)
        ),
        Method("sut", "paper"),
    ],
    (*QUALITY, "round", *ATTACKS),
    curve="ndcg@10",
)

_FIG4 = Experiment(
    "fig4",
    "Heads of the adversary and lambda: what its gradient leaks, and what it unlearns",
    "DSVAE keeps gradient inversion near guessing; a larger lambda protects the gradient better and unlearns less.",
    _heads(),
    ("ndcg@10", "bacc_paper", "bacc_strong", LEAKS),
)

_ABLATION = Experiment(
    "ablation",
    "SUT and DSVAE, each alone and both",
    "Both together are best in stability of training, gradient leakage and recommendation.",
    [
        Method("neither", "paper", {_HEAD: "mlp", _TRIGGER: "global"}),
        Method("sut-only", "paper", {_HEAD: "mlp"}),
        Method("dsvae-only", "paper", {_TRIGGER: "global"}),
        Method("both", "paper"),
    ],
    ("ndcg@10", "bacc_paper", "bacc_strong", LEAKS, "loss_std"),
    curve="loss",
)

_PARETO = Experiment(
    "pareto",
    "Epsilon by lambda: the frontier between unlearning and recommendation",
    "Too much of either spoils recommendation, too little does not unlearn; the paper takes epsilon 400, lambda 4.",
    [
        Method(f"epsilon-{epsilon:g}-lambda-{variance:g}", "paper", {_EPSILON: epsilon, _VARIANCE: variance})
        for epsilon in _EPSILONS
        for variance in _VARIANCES
    ],
    ("ndcg@10", "bacc_paper", "bacc_strong"),
    plot="frontier",
)

_IMBALANCE = Experiment(
    "imbalance",
    "A class of a tenth of the users, with and without class weights",
    "SUT fires where the adversary is right; whether it does for a rare class too is left open.",
    [Method("paper", "paper"), Method("class-weights", "paper", {"plan.adversary.class_weights": "balanced"})],
    ("ndcg@10", "bacc_paper", "bacc_strong", "bacc_strong_all", TRIGGERS),
    plot="triggers",
    settings={"data.minority": 0.1},
)

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment for experiment in (_TABLE1, _FIG3, _FIG4, _ABLATION, _PARETO, _IMBALANCE)
}
"""By name."""
