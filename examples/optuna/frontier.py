"""Searches settings that recommend well and leak little, by Optuna, and draws the frontier of both.

    pip install 'fedau2[search]'
    python examples/optuna/frontier.py --trials 20

The trials stand in a database in the folder, so the same command goes on where it stopped.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import optuna

import simulator
from simulator.reporting.drawing import BLUE, GREY, ORANGE, picture

SMALL = {"data.dataset": "synthetic", "data.users": 120, "data.items": 200, "evaluation.evaluate_every": 5}
LEAK = "bacc_strong"


def main(words: Sequence[str] | None = None) -> None:
    """Runs the trials that are missing, and draws all of them."""
    parser = argparse.ArgumentParser(description="Searches settings by two objectives: NDCG@10 and leakage.")
    parser.add_argument("--out", type=Path, default=Path("runs/frontier"), help="folder of the results (%(default)s)")
    parser.add_argument("--trials", type=int, default=20, help="trials in all (%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of a trial (%(default)s)")
    options = parser.parse_args(words)
    options.out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name="frontier",
        directions=["maximize", "minimize"],
        sampler=optuna.samplers.TPESampler(seed=0),
        storage=f"sqlite:///{options.out / 'trials.db'}",
        load_if_exists=True,
    )
    done = len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE]))
    study.optimize(lambda trial: _tried(trial, options.out, options.rounds), max(0, options.trials - done))
    _draw(study, options.out / "frontier.png")
    for trial in study.best_trials:
        print(f"NDCG@10 {trial.values[0]:.3f}, leakage {trial.values[1]:.3f}: {trial.params}")


def _tried(trial: optuna.Trial, folder: Path, rounds: int) -> tuple[float, float]:
    """Trains with the trial's settings: NDCG@10, and the strong attacker's balanced accuracy."""
    settings = {
        **SMALL,
        "engine.rounds": rounds,
        "plan.adversary.epsilon": trial.suggest_float("epsilon", 1.0, 1000.0, log=True),
        "plan.adversary.variance": trial.suggest_float("lambda", 1.0, 16.0),
        "plan.local.private_learning_rate": trial.suggest_float("private learning rate", 0.01, 0.3, log=True),
    }
    metrics = simulator.run(settings, folder / f"trial-{trial.number}", attacks="quick").metrics
    return metrics["ndcg@10"], metrics[LEAK]


def _draw(study: optuna.Study, path: Path) -> None:
    trials = [trial for trial in study.trials if trial.values]
    best = sorted((trial.values[1], trial.values[0]) for trial in study.best_trials)
    with picture(path, "Trials, and those that no other beats in both", height=5.0) as (axes,):
        axes.scatter(
            [trial.values[1] for trial in trials],
            [trial.values[0] for trial in trials],
            color=BLUE,
            s=18,
            label="trials",
        )
        # The line has steps, because nothing is known between two trials but what the first of them reaches.
        axes.step(*zip(*best, strict=True), "s-", where="post", color=ORANGE, markersize=5, label="frontier")
        axes.axvline(0.5, color=GREY, linewidth=1, label="guessing")
        axes.set_xlabel("BAcc, strong attacker on the embedding (lower leaks less)")
        axes.set_ylabel("NDCG@10")
        axes.legend(frameon=False)


if __name__ == "__main__":
    main()
