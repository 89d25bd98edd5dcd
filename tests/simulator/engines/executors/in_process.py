"""A crew whose workers are in this process, and may be lost at a chosen moment. Orders and answers are pickled."""

import pickle

from simulator.engines.executors.dispatch import WorkerLostError
from simulator.engines.executors.keeper import Keeper


class Worker:
    def __init__(self, crew, job):
        self.crew, self.keeper, self.share = crew, Keeper(pickle.loads(pickle.dumps(job))), None
        crew.started += 1
        self.number, self.orders = crew.started, 0

    @property
    def ready(self):
        first = self.number == 1
        return self.crew.lost != "never ready" and not (self.crew.lost == "while it is starting" and first)

    def send(self, now, order):
        self.orders += 1
        self.lost = self.crew.lost == "always" or (self.number == 1 and self.orders == 2)
        if self.lost and self.crew.lost == "when it is sent an order":
            raise WorkerLostError
        now, order = pickle.loads(pickle.dumps((now, order)))
        self.crew.brought += len(order.brought)
        self.crew.orders += 1
        self.crew.largest = max(self.crew.largest, len(order.chunks))
        self.share = pickle.dumps(self.keeper.train(now, order))

    def receive(self):
        if self.lost and self.crew.lost in ("before it answers", "always"):
            raise WorkerLostError
        return pickle.loads(self.share)

    def end(self):
        pass


class InProcess:
    def __init__(self, lost=""):
        self.lost, self.started, self.brought, self.orders, self.largest = lost, 0, 0, 0, 0

    def start(self, job):
        return Worker(self, job)

    def wait(self, busy, timeout):
        return [worker for worker in busy if not (worker.lost and self.lost == "hanging")]

    def close(self):
        pass
