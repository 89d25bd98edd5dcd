"""The unmasker's tables. Times are seconds since 1970. Nothing here names a user, and no secret is here unsealed."""

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Integer, LargeBinary, MetaData, Table

VERSION = 3
"""Version of these tables. Books of version 1 lack the tables from `opened_sum` on, and those of version 2 lack
`later_epoch`."""

metadata = MetaData()

_HASH = LargeBinary(32)

meta = Table(
    "unmasker_meta",
    metadata,
    Column("version", Integer, nullable=False),
    Column("identity", LargeBinary(32), nullable=False),  # public key; these books are of no other unmasker
    Column("epoch", LargeBinary(16), nullable=False),  # see `epoch`
    Column("commits", BigInteger, nullable=False),  # transactions so far
    Column("rules", LargeBinary, nullable=False),  # EnrolmentRules in force, serialised
    Column("day", BigInteger, nullable=False),  # last one whose enrolments are in the log, in days since 1970
)

holder = Table(
    "holder",
    metadata,
    Column("pseudonym", LargeBinary(16), primary_key=True),
    Column("subject", _HASH, nullable=False, unique=True),  # keyed hash of what the evidence says
    Column("evidence_class", Integer, nullable=False),
    Column("public_key", LargeBinary(32), nullable=False, unique=True),
    Column("certificate", LargeBinary, nullable=False),  # the newest; those before it for the same key are valid too
    Column("expires", BigInteger, nullable=False, index=True),
    Column("revoked", BigInteger),  # when
)

invitation = Table(
    "invitation",
    metadata,
    Column("subject", _HASH, primary_key=True),  # keyed hash of the code
    Column("expires", BigInteger, nullable=False),
)

task_round = Table(
    "task_round",
    metadata,
    Column("task_id", LargeBinary(16), primary_key=True),
    Column("round", BigInteger, nullable=False),  # the newest that was opened
    Column("epoch", LargeBinary(16), nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("key", LargeBinary, nullable=False),  # SignedRoundKey, serialised
    Column("secret", LargeBinary),  # the private key, sealed by the epoch's key; NULL: it is gone
    Column("closed", Boolean, nullable=False),  # it is gone for good, and not with its epoch
    Column("entry", BigInteger, nullable=False),  # of the log
)

log_entry = Table(
    "log_entry",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),  # LogEntry, serialised
    Column("hash", _HASH, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),  # of the head that ends here
)

lost_head = Table(
    "lost_head",
    metadata,
    Column("hash", _HASH, primary_key=True),  # of a head that was shown, and for which an epoch has begun
)

policy = Table(
    "policy",
    metadata,
    Column("hash", _HASH, primary_key=True),
    Column("entry", ForeignKey(log_entry.c.number), nullable=False),
)

opened_sum = Table(
    "opened_sum",
    metadata,
    Column("task_id", LargeBinary(16), primary_key=True),
    Column("round", BigInteger, primary_key=True, autoincrement=False),
    Column("context", _HASH, nullable=False),  # hash of the round's context
    Column("set", _HASH, nullable=False),  # hash of the set of members
    Column("head", _HASH, nullable=False),  # SHA-256 of the masked head
    Column("withheld", LargeBinary, nullable=False),  # as in OpenedSum
    Column("answer", _HASH, nullable=False),  # SHA-256 of the packed sum that was answered
    Column("members", Integer, nullable=False),  # their number
    Column("opened", BigInteger, nullable=False),
    Column("entry", ForeignKey(log_entry.c.number), nullable=False),
)

participation = Table(
    "participation",
    metadata,
    Column("pseudonym", LargeBinary(16), primary_key=True),
    Column("task_id", LargeBinary(16), primary_key=True),
    Column("number", Integer, nullable=False),  # of opened sums that a contribution of the holder is in
    Column("round", BigInteger, nullable=False),  # of the last of them
)

budget = Table(
    "budget",  # one row, or none where there never was a budget
    metadata,
    Column("epsilon", Double, nullable=False),  # 0: no budget
    Column("delta", Double, nullable=False),
)

spending = Table(
    "spending",
    metadata,
    Column("pseudonym", LargeBinary(16), primary_key=True),
    Column("squares", Double, nullable=False),  # sum of 1 / noise_multiplier^2 over contributions, of all tasks
)

later_epoch = Table(
    "later_epoch",
    metadata,
    Column("epoch", LargeBinary(16), nullable=False),  # that began after a restoration: all but the first
)
