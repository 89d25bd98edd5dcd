"""What the tests put into a store."""

from dataclasses import replace

import numpy as np

from client_sdk.protocol.values import Model, PrivateState, Staged
from fedau2.wire import blobs


def make_state(seed):
    state = PrivateState.start({"user": np.full((1, 3), seed, np.float32)}, 1)
    return replace(state, steps=np.array([seed], np.int64))


def make_staged(number, task_id="task"):
    return Staged(bytes([number]) * 16, task_id, number, b"contribution %d" % number, make_state(number))


def same(one, other):
    return one.pack() == other.pack()


def keep_all(store, bundle):
    for data in bundle.blobs.values():
        store.keep_blob(blobs.resource(data), data)


def adopt(store, bundle, round_number=0):
    keep_all(store, bundle)
    model = Model("task", round_number, bundle.address, bundle.checkpoint)
    store.adopt(model)
    return model
