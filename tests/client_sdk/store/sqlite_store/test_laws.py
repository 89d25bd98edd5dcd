"""The store against a dictionary, whatever happens to its process."""

import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from client_sdk.errors import StoreError
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.wire import blobs
from tests.client_sdk.store.sqlite_store.contents import make_staged, same

CATALOGUE = ["delta", "bravo", "foxtrot", "alpha", "echo", "charlie"]  # rows do not follow the alphabet
TASKS = ["first", "second"]
NOISES = [0.0, 0.5, 1.1]


class StoreLaws(RuleBasedStateMachine):
    """The store against a dictionary, closed and opened again at any moment."""

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp())
        self.store = SqliteStore(self.folder)
        self.key = self.store.key()
        self.catalogue = "\n".join(CATALOGUE).encode()
        self.store.keep_blob(blobs.resource(self.catalogue), self.catalogue)
        self.recorded, self.attributes, self.private, self.staged = set(), {}, {}, None
        self.rounds, self.sums, self.noises = {}, Counter(), Counter()

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.folder)

    @rule()
    def reopen(self):
        self.store.close()
        self.store = SqliteStore(self.folder)

    @rule(item=st.sampled_from([*CATALOGUE, "not listed"]), time=st.integers(-(2**50), 2**50))
    def record(self, item, time):
        self.store.record(item, time)
        self.recorded.add(item)

    @rule(name=st.sampled_from(["gender", "age"]), value=st.none() | st.text(st.characters(codec="utf-8"), min_size=1))
    def set_attribute(self, name, value):
        self.store.set_attribute(name, value)
        self.attributes[name] = value

    @rule(number=st.integers(0, 9), task_id=st.sampled_from(TASKS), masked=st.booleans(), noise=st.sampled_from(NOISES))
    def stage(self, number, task_id, masked, noise):
        if self.staged:
            with pytest.raises(StoreError, match="staged already"):
                self.store.stage(make_staged(number, task_id))
        else:
            self.staged = replace(make_staged(number, task_id), masked=masked, noise=noise)
            self.store.stage(self.staged)
            self.sums[task_id] += masked
            self.noises[noise] += masked

    @precondition(lambda self: self.staged)
    @rule()
    def promote(self):
        self.store.promote(self.staged.assignment_id)
        self.private[self.staged.task_id] = self.staged.state
        self.rounds[self.staged.task_id] = self.staged.round
        self.staged = None

    @precondition(lambda self: self.staged)
    @rule(sent=st.booleans())
    def discard(self, sent):
        self.store.discard(self.staged.assignment_id, sent=sent)
        if self.staged.masked and sent:
            self.rounds[self.staged.task_id] = self.staged.round
        elif self.staged.masked:
            self.sums[self.staged.task_id] -= 1
            self.noises[self.staged.noise] -= 1
        self.staged = None

    @rule(number=st.integers(0, 9), act=st.sampled_from(["promote", "discard"]))
    def another_assignment(self, number, act):
        assignment_id = bytes([number]) * 16
        if self.staged is None or self.staged.assignment_id != assignment_id:
            with pytest.raises(StoreError, match="nothing is staged"):
                getattr(self.store, act)(assignment_id)

    @invariant()
    def holds_what_was_put_in(self):
        assert self.store.key() == self.key
        rows = [row for row, item in enumerate(CATALOGUE) if item in self.recorded]
        np.testing.assert_array_equal(self.store.interactions(blobs.resource(self.catalogue)), rows)
        for name in ("gender", "age"):
            assert self.store.attribute(name) == self.attributes.get(name)
        for task_id in TASKS:
            expected, actual = self.private.get(task_id), self.store.private(task_id)
            assert (actual is None) if expected is None else same(actual, expected)

    @invariant()
    def counts_what_may_have_arrived(self):
        for task_id in TASKS:
            assert self.store.contributed(task_id) == self.rounds.get(task_id)
            assert self.store.identities.participations(task_id) == self.sums[task_id]
        assert self.store.identities.masked() == +self.noises

    @invariant()
    def holds_what_is_staged(self):
        actual = self.store.staged()
        assert (actual is None) == (self.staged is None)
        if self.staged:
            assert same(actual.state, self.staged.state)
            assert replace(actual, state=None).__dict__ == replace(self.staged, state=None).__dict__


StoreLaws.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestStoreLaws = StoreLaws.TestCase
