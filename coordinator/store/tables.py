"""The ledger's tables. States are the numbers of the enums in `admin.proto`; times are seconds since 1970."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

from fedau2.v1.admin_pb2 import TASK_STATE_PAUSED, TASK_STATE_RUNNING

metadata = MetaData()

_Serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers INTEGER keys only
_HASH = LargeBinary(32)

meta = Table(
    "meta",
    metadata,
    Column("version", Integer, nullable=False),  # of the schema, see `migrations`
    Column("folder", String(32), nullable=False),  # id of the state folder that this ledger belongs to
)

commits = Table(
    "commits",
    metadata,
    Column("number", BigInteger, nullable=False),  # of transactions so far, see `witness`; the table has one row
)

task = Table(
    "task",
    metadata,
    Column("task_id", String(32), primary_key=True),
    Column("population", String(128), nullable=False),
    Column("state", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("rounds", BigInteger, nullable=False),
    Column("round", BigInteger, nullable=False),  # committed so far
    Column("manifest", _HASH, nullable=False),
    Column("closing", LargeBinary, nullable=False),  # ClosingRule, serialised
    Column("checkpoint", _HASH, nullable=False),
    Column("server_state", _HASH, nullable=False),
    Column("previous_checkpoint", _HASH, nullable=False),  # this and the next are read in old ledgers only: SQLite
    Column("previous_server_state", _HASH, nullable=False),  # before 3.35 cannot drop a column
    Column("versions", LargeBinary),  # ClientVersions, serialised
    Column("encoding", Integer),  # CheckpointEncoding in which checkpoints are offered too; 0: none
    Column("encoded", _HASH),  # the checkpoint in that encoding; empty without one
    Column("skipped", BigInteger),  # added to a round's number when a device is given it, see docs/durability.md
    Column("norms", LargeBinary),  # ContributionNorms of the newest committed round, serialised
)

kept_model = Table(
    "kept_model",
    metadata,
    Column("task_id", ForeignKey(task.c.task_id), primary_key=True),
    Column("round", BigInteger, primary_key=True),  # committed when it was the newest model
    Column("checkpoint", _HASH, nullable=False),
    Column("server_state", _HASH, nullable=False),
    Column("encoded", _HASH, nullable=False),  # as in `task`
)

rollback_history = Table(
    "rollback_history",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("task_id", ForeignKey(task.c.task_id), nullable=False),
    Column("old", BigInteger, nullable=False),  # rounds committed
    Column("new", BigInteger, nullable=False),  # round of the kept model
    Column("at", Float, nullable=False),
)

OPEN_STATES = (TASK_STATE_RUNNING, TASK_STATE_PAUSED)
"""A task in one of these states has an open round. A population has one such task at most."""

_open = task.c.state.in_(OPEN_STATES)
one_open_task = Index("one_open_task", task.c.population, unique=True, sqlite_where=_open, postgresql_where=_open)

task_history = Table(
    "task_history",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("task_id", ForeignKey(task.c.task_id), nullable=False),
    Column("old", Integer, nullable=False),
    Column("new", Integer, nullable=False),
    Column("at", Float, nullable=False),
)

round_attempt = Table(
    "round",
    metadata,
    Column("task_id", ForeignKey(task.c.task_id), primary_key=True),
    Column("round", BigInteger, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("state", Integer, nullable=False),
    Column("opened", Float, nullable=False),
    Column("checkpoint", _HASH),  # this and the following: the outcome of the commit
    Column("server_state", _HASH),
    Column("norms", LargeBinary),  # ContributionNorms, serialised
)

round_history = Table(
    "round_history",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("task_id", String(32), nullable=False),
    Column("round", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("old", Integer, nullable=False),
    Column("new", Integer, nullable=False),
    Column("at", Float, nullable=False),
    ForeignKeyConstraint(
        ["task_id", "round", "attempt"],
        [round_attempt.c.task_id, round_attempt.c.round, round_attempt.c.attempt],
    ),
)

opening = Table(
    "opening",
    metadata,
    Column("task_id", String(32), primary_key=True),
    Column("round", BigInteger, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("members", _HASH, nullable=False),  # hash of the set of contributions whose sum was opened
    Column("withheld", LargeBinary, nullable=False),  # what stayed closed, as in OpenedSum
    Column("masks", _HASH, nullable=False),  # of the packed sum of the masks: a private blob until the round is over
    ForeignKeyConstraint(
        ["task_id", "round", "attempt"],
        [round_attempt.c.task_id, round_attempt.c.round, round_attempt.c.attempt],
    ),
)

seen_log = Table(
    "seen_log",
    metadata,
    Column("identity", _HASH, primary_key=True),  # of an unmasker
    Column("head", LargeBinary, nullable=False),  # the newest LogHead that it has shown, serialised
)

assignment = Table(
    "assignment",
    metadata,
    Column("assignment_id", LargeBinary(16), primary_key=True),
    Column("task_id", String(32), nullable=False),
    Column("round", BigInteger, nullable=False),  # where it ended, or still is: a buffered round passes live ones on
    Column("attempt", Integer, nullable=False),  # in which it was made; below 0: made in the round so many before
    Column("state", Integer, nullable=False),
    Column("deadline", Float, nullable=False),
    Column("sha256", _HASH),  # of the contribution: REPORTED and REFUSED only
    Column("segment", String(128)),  # this and the next two: location of the contribution, REPORTED only
    Column("offset", BigInteger),
    Column("length", BigInteger),
    Column("reason", Integer),  # FailureReason, FAILED only
    Column("admission", LargeBinary),  # hash of the admission that was spent on it; empty: none was asked for
    Index("assignments_of_a_round", "task_id", "round"),
)

admission_key = Table(
    "admission_key",
    metadata,
    Column("task_id", String(32), primary_key=True),
    Column("round", BigInteger, primary_key=True),
    Column("key", LargeBinary, nullable=False),  # private, PKCS8; gone when the round is over
)

admission_issue = Table(
    "admission_issue",
    metadata,
    Column("task_id", String(32), primary_key=True),
    Column("round", BigInteger, primary_key=True),
    Column("holder", _HASH, primary_key=True),  # keyed hash of an identity; nobody can read it without the round's key
    Column("blinded", _HASH, nullable=False),  # hash of the blinded message that was signed
    sqlite_with_rowid=False,  # numbers of rows would tell the order in which identities came
)

assignment_history = Table(
    "assignment_history",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("assignment_id", ForeignKey(assignment.c.assignment_id), nullable=False),
    Column("old", Integer, nullable=False),
    Column("new", Integer, nullable=False),
    Column("at", Float, nullable=False),
)
