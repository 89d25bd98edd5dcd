"""From data frames to a report with Flower: the app writes model, draw of negatives, ranking and attack by itself."""

from collections import OrderedDict
from collections.abc import Iterable
from functools import cache

import numpy as np
import pandas as pd
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from torch import Tensor, nn

from benchmarks.from_frames import frames

visits, people = frames.read()
visits["item"] = visits["item_id"].astype("category").cat.codes
ITEMS, USERS, ROUNDS = int(visits["item"].max()) + 1, len(people), 10
client, server = ClientApp(), ServerApp()


class NeuMF(nn.Module):
    """The shared part; a user's two vectors stay with the user."""

    def __init__(self) -> None:
        super().__init__()
        self.gmf, self.mlp = nn.Embedding(ITEMS, 64), nn.Embedding(ITEMS, 64)
        self.layers = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
        self.last = nn.Linear(128, 1)

    def forward(self, user: Tensor, items: Tensor) -> Tensor:
        """Scores items for the user's vectors, (2, 64)."""
        pair = torch.cat([user[1].expand(len(items), -1), self.mlp(items)], 1)
        return self.last(torch.cat([user[0] * self.gmf(items), self.layers(pair)], 1))[:, 0]


@cache
def histories() -> list[np.ndarray]:
    """Lists the items of each user in order of time."""
    ordered = visits.sort_values(["user_id", "timestamp"], kind="stable")
    return [rows.to_numpy() for _, rows in ordered.groupby("user_id")["item"]]


def others(user: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws items that the user does not have."""
    return rng.choice(np.setdiff1d(np.arange(ITEMS), histories()[user]), count)


def loaded(message: Message, context: Context) -> tuple[NeuMF, int, Tensor]:
    """Returns the model, the number of the user, and the user's vectors."""
    module, user = NeuMF(), int(context.node_config["partition-id"])
    module.load_state_dict(message.content["arrays"].to_torch_state_dict())
    if "user" not in context.state:
        context.state["user"] = ArrayRecord(OrderedDict(vectors=0.1 * torch.randn(2, 64)))
    return module, user, context.state["user"].to_torch_state_dict()["vectors"]


@client.train()
def train(message: Message, context: Context) -> Message:
    """Trains one client for a step on all its items."""
    module, user, vectors = loaded(message, context)
    items = histories()[user][:-2]
    drawn = np.concatenate([items, others(user, 4 * len(items), np.random.default_rng())])
    labels = (torch.arange(len(drawn)) < len(items)).float()
    vectors.requires_grad_()
    optimizer = torch.optim.Adam([*module.parameters(), vectors], lr=0.01)
    loss = nn.functional.binary_cross_entropy_with_logits(module(vectors, torch.from_numpy(drawn).long()), labels)
    loss.backward()
    optimizer.step()
    context.state["user"] = ArrayRecord(OrderedDict(vectors=vectors.detach()))
    metrics = MetricRecord({"num-examples": len(items)})
    return Message(RecordDict({"arrays": ArrayRecord(module.state_dict()), "metrics": metrics}), reply_to=message)


@client.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Ranks the held-out item among 99 others, and gives the thief the user's vectors."""
    module, user, vectors = loaded(message, context)
    items = np.append(histories()[user][-1], others(user, 99, np.random.default_rng(user)))
    with torch.no_grad():
        scores = module(vectors, torch.from_numpy(items).long())
    rank = int((scores > scores[0]).sum())
    metrics = MetricRecord({"num-examples": 1, "user": user, "ndcg@10": 1 / np.log2(rank + 2) if rank < 10 else 0.0})
    return Message(RecordDict({"metrics": metrics, "stolen": ArrayRecord([vectors.numpy()])}), reply_to=message)


class Attacked(FedAvg):
    """Federated averaging, which attacks what the clients gave the thief after the last round."""

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Attacks the stolen vectors, and writes the report."""
        received = [reply.content for reply in replies if reply.has_content()]
        if not received:
            return None
        stolen = np.stack([content["stolen"].to_numpy_ndarrays()[0][1] for content in received])
        genders = people["gender"].iloc[[content["metrics"]["user"] for content in received]]
        attacker = LogisticRegression(max_iter=1000, class_weight="balanced")
        success = cross_val_score(attacker, stolen, genders, cv=5, scoring="balanced_accuracy").mean()
        quality = np.mean([content["metrics"]["ndcg@10"] for content in received])
        report = pd.Series({"ndcg@10": quality, "attack": success}, name="NeuMF").to_frame()
        report.to_html("report.html")
        print(report)
        return MetricRecord({"ndcg@10": float(quality), "attack": float(success)})

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: object, grid: Grid
    ) -> Iterable[Message]:
        """Asks for ranks and vectors after the last round only."""
        return super().configure_evaluate(server_round, arrays, config, grid) if server_round == ROUNDS else []


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Trains all rounds."""
    strategy = Attacked(min_train_nodes=94, fraction_train=0.1, min_evaluate_nodes=USERS, min_available_nodes=USERS)
    strategy.start(grid, ArrayRecord(NeuMF().state_dict()), num_rounds=ROUNDS)


if __name__ == "__main__":
    from benchmarks.from_frames import with_flower as app  # Ray's actors import it by this name

    resources = {"init_args": {"num_cpus": 1, "include_dashboard": False}, "client_resources": {"num_cpus": 1}}
    run_simulation(app.server, app.client, USERS, backend_config=resources)
