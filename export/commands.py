"""The commands of `fedau2-export`. Each yields the lines that it prints, and returns its figures for `--json`.

The modules that do the work are imported when a command runs, so that help needs none of them.
"""

import argparse
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.errors import ItemsError, TargetError

if TYPE_CHECKING:
    from export.bundle import Bundle
    from export.sums import Policy

Lines = Generator[str, None, dict[str, Any]]


def bundle(arguments: argparse.Namespace) -> Lines:
    """Builds a bundle, and signs it where a key is given."""
    start = time.monotonic()
    if arguments.unmasker and not arguments.sums:
        arguments.refuse("--unmasker needs --sums: only sums are opened")
    from export import bundle as bundles
    from export import signing, sums, unmaskers
    from fedau2.wire import matchings

    if arguments.key:
        if not arguments.population:
            arguments.refuse("--key needs --population: a bundle is signed for the devices of one population")
        signing.private_key(arguments.key)  # its errors come before a bundle is built, and so do those of the next two
    policy = sums.read(arguments.sums) if arguments.sums else None
    opened_by = [unmaskers.read(arguments.unmasker)] if arguments.unmasker else []
    built, lines = (_succeeding if arguments.ancestor else _new)(arguments)
    if policy is not None:
        built, said = _hidden(built, policy, opened_by)
        lines += said
    bundles.write(built, arguments.out)
    if arguments.key:
        lines.append(f"signed with {arguments.key} {_signed(arguments.out, arguments)}")
    task, size = built.manifest, sum(map(len, built.blobs.values()))
    attributes = list(dict.fromkeys(part.attribute for part in matchings.labelled(task.plan)))
    yield (
        f"{arguments.out}: {task.model} over {task.items} items, "
        f"{', '.join(attributes) or 'no attribute'} to unlearn, "
        f"{len(built.blobs)} blobs of {size:,} bytes, built in {time.monotonic() - start:.1f} s"
    )
    yield from lines
    figures = {"model": task.model, "items": task.items, "attributes": attributes, "blobs": len(built.blobs)}
    return {"folder": str(arguments.out), **figures, "bytes": size, "signed": bool(arguments.key), "notes": lines}


def _new(arguments: argparse.Namespace) -> tuple["Bundle", list[str]]:
    """Builds a bundle of a plan or of a run."""
    from export import bundle as bundles
    from export import sums
    from export.items import read_items
    from export.plan import message, planfile, resolve, run_folder
    from fedau2.v1.task_pb2 import TaskManifest

    run = arguments.from_run
    if arguments.features is not None:
        arguments.refuse("--features needs --from: without trained rows there is nothing to learn from")
    if bool(run) == bool(arguments.plan):
        arguments.refuse("give one of --plan and --from-run, or --from")
    if not run and not arguments.items:
        raise ItemsError("the items are missing: name their file with --items")
    if run:
        run_folder.expect_deployable(run, hidden=arguments.sums is not None)
    items = read_items(arguments.items or run / bundles.ITEMS)
    plan = (
        planfile.read_whole(run / bundles.PLAN, arguments.model)
        if run
        else planfile.read(arguments.plan, arguments.model, hidden=arguments.sums is not None)
    )
    resolved = resolve.resolve(plan, {})
    if arguments.sums is None:  # first, because building takes a while
        sums.expect_hidden(TaskManifest(plan=message.to_message(resolved)))
    return bundles.from_plan(resolved, items, arguments.seed, arguments.precision), []


def _hidden(built: "Bundle", policy: "Policy", opened_by: list[bytes]) -> tuple["Bundle", list[str]]:
    """Adds a policy of secure sums, and says how many devices share a row of a sum, and what noise promises."""
    from export import sums

    with_policy = sums.add(built, policy, opened_by)
    sums.expect_crowd(policy, built.manifest.items)
    said = [sums.crowd_line(policy, built.manifest.items), sums.noise_line(policy)]
    if not opened_by:
        said.append("nobody may open these sums, so a coordinator refuses the bundle: give --unmasker its key")
    return with_policy, said


def _succeeding(arguments: argparse.Namespace) -> tuple["Bundle", list[str]]:
    """Builds a bundle that goes on from another, and says what it has taken over."""
    from export import features, successor
    from export.items import read_items

    planned = successor.read_plan(arguments.ancestor, arguments.plan, arguments.model)
    items = None if arguments.items is None else read_items(arguments.items)
    described = None if arguments.features is None else features.read(arguments.features)
    hidden = arguments.sums is not None
    more = {"precision": arguments.precision, "described": described, "hidden": hidden, **planned}
    built, takeover = successor.succeed(arguments.ancestor, items, arguments.seed, **more)
    return built, takeover.lines()


def inspect(arguments: argparse.Namespace) -> Lines:
    """Shows a bundle."""
    from google.protobuf.json_format import MessageToDict

    from export import bundle as bundles
    from export.describe import describe

    shown = bundles.read(arguments.folder)
    yield describe(shown)
    return {
        "folder": str(arguments.folder),
        "manifest": MessageToDict(shown.manifest, preserving_proto_field_name=True),
    }


def verify(arguments: argparse.Namespace) -> Lines:
    """Checks a bundle."""
    from export.verify import verify as checked

    checks = []
    if arguments.key:
        from export import signing

        signing.check(arguments.folder, arguments.key)
        checks.append(f"signature: by the key of {arguments.key}")
        yield f"ok  {checks[0]}"
    for line in checked(arguments.folder):
        checks.append(line)
        yield f"ok  {line}"
    return {"folder": str(arguments.folder), "checks": checks}


def bench(arguments: argparse.Namespace) -> Lines:
    """Measures training graphs beside PyTorch."""
    from export.bench import run

    lines = []
    for line in run(arguments.steps, arguments.repeats):
        lines.append(line)
        yield line
    return {"markdown": "\n".join(lines)}


def keygen(arguments: argparse.Namespace) -> Lines:
    """Makes a publisher's key."""
    from export import signing

    if not arguments.name.name:
        raise TargetError("the key needs a name: its files are called NAME.key and NAME.pub")
    private, public = (arguments.name.with_name(f"{arguments.name.name}.{kind}") for kind in ("key", "pub"))
    signing.keygen(private, public)
    yield f"{private}: sign bundles with it, and keep it where nobody else can read it"
    yield f"{public}: give it to your app"
    return {"private": str(private), "public": str(public)}


def sign(arguments: argparse.Namespace) -> Lines:
    """Signs a bundle."""
    yield f"{arguments.folder}: signed {_signed(arguments.folder, arguments)}"
    return {"folder": str(arguments.folder)}


def _signed(folder: Path, arguments: argparse.Namespace) -> str:
    from export import describe, signing

    terms = {"population": arguments.population, "sequence": arguments.sequence, "days": arguments.days}
    return describe.release(signing.sign(folder, arguments.key, **terms))
