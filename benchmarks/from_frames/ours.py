"""From data frames to a report with this project."""

import simulator
from benchmarks.from_frames import frames

visits, people = frames.read()
data = simulator.Dataset.from_frames(visits, people)
settings = {"data.attributes": ["gender"], "engine.rounds": 10, "engine.cohort": 94}
result = simulator.run(settings, "runs/frames", preset="paper", data=data, attacks="quick")
print(result.metrics["ndcg@10"], result.attacks, result.folder / "report.html")
