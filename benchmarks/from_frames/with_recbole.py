"""From data frames to a report with RecBole. It trains centrally: the users' vectors lie beside one another."""

from pathlib import Path

import pandas as pd
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import NeuMF
from recbole.trainer import Trainer
from recbole.utils import init_seed
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from benchmarks.from_frames import frames

visits, people = frames.read()
folder = Path("runs/recbole/shop")
folder.mkdir(parents=True, exist_ok=True)
header = ["user_id:token", "item_id:token", "timestamp:float"]
visits.to_csv(folder / "shop.inter", sep="\t", index=False, header=header)
settings = {
    "data_path": str(folder.parent),
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "train_neg_sample_args": {"distribution": "uniform", "sample_num": 4},
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "uni99"},
    "metrics": ["NDCG", "Hit"],
    "valid_metric": "NDCG@10",
    "topk": [10],
    "epochs": 1,
    "use_gpu": False,
    "show_progress": False,
}
config = Config(model="NeuMF", dataset="shop", config_dict=settings)
init_seed(config["seed"], config["reproducibility"])
dataset = create_dataset(config)
train, validation, test = data_preparation(config, dataset)
model = NeuMF(config, train.dataset)
trainer = Trainer(config, model)
trainer.fit(train, validation, saved=False, show_progress=False)
metrics = trainer.evaluate(test, load_best_model=False)
vectors = model.user_mlp_embedding.weight.detach().numpy()
rows = dataset.token2id("user_id", people["user_id"].astype(str).to_list())
attacker = LogisticRegression(max_iter=1000, class_weight="balanced")
success = cross_val_score(attacker, vectors[rows], people["gender"], cv=5, scoring="balanced_accuracy")
report = pd.Series({**metrics, "attack": success.mean()}, name="NeuMF").to_frame()
report.to_html("runs/recbole/report.html")
print(report)
