"""Commands that write into the books or read them: `init`, `invite`, `revoke`, `status` and `new-epoch`."""

import argparse
import sys

from fedau2.v1.unmasker_pb2 import EvidenceClass
from unmasker.commands import place
from unmasker.engine import reading
from unmasker.errors import SettingError
from unmasker.evidence import invitations
from unmasker.store import holders
from unmasker.store.books import Books

_MOST_CODES = 10_000


def init(args: argparse.Namespace) -> int:
    """Runs `init`."""
    folder = place.folder(args)
    Books.make(folder, args.database).close()
    print(folder.public_key.read_text(), end="")
    print(f"made {folder.path}: apps need the key above, which is in {folder.public_key}", file=sys.stderr)
    return 0


def invite(args: argparse.Namespace) -> int:
    """Runs `invite`."""
    if not 1 <= args.count <= _MOST_CODES or not 1 <= args.days <= 3650:
        raise SettingError(f"--count is from 1 to {_MOST_CODES}, and --days from 1 to 3650")
    with place.books(args) as books, books.writing() as page:
        codes = [invitations.invite(page, args.days) for _ in range(args.count)]
    print("\n".join(codes))  # after they are durable
    return 0


def revoke(args: argparse.Namespace) -> int:
    """Runs `revoke`."""
    try:
        pseudonyms = [bytes.fromhex(text) for text in args.pseudonym]
    except ValueError as error:
        raise SettingError("a pseudonym has 32 hexadecimal digits") from error
    with place.books(args) as books, books.writing() as page:
        unknown = [name.hex() for name in pseudonyms if not holders.revoke(page, name)]
        if unknown:
            raise SettingError(f"nobody has the pseudonym {', '.join(unknown)}: nobody was revoked")
    print(f"revoked {len(pseudonyms)}")
    return 0


def status(args: argparse.Namespace) -> int:
    """Runs `status`."""
    with place.books(args) as books:
        status = reading.status(books)
    live = {EvidenceClass.Name(count.evidence_class): count.live for count in status.classes}
    classes = ", ".join(f"{number} {name.removeprefix('EVIDENCE_CLASS_').lower()}" for name, number in live.items())
    print(f"devices with a valid certificate: {classes or 'none'}; revoked: {status.revoked}")
    print(f"open rounds: {status.open_rounds}; sums that were opened: {status.sums}")
    if status.budget.epsilon:
        print(f"budget: epsilon {status.budget.epsilon:g} at delta {status.budget.delta:g}")
    print(f"log: {status.head.size} entries, {status.head.hash.hex()}")
    return 0


def new_epoch(args: argparse.Namespace) -> int:
    """Runs `new-epoch`."""
    with place.books(args) as books, books.writing() as page:
        begun = books.begin_epoch(page)
    print(f"epoch {begun.epoch.id.hex()} has begun: the keys of all open rounds are gone")
    return 0
