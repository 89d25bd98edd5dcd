"""`fedau2-export`: builds, shows, signs and checks bundles.

The exit code is 0 if the command succeeded, 1 if it failed, 2 for wrong usage, and 130 after Ctrl-C.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from export import bundle
from export.errors import ExportError, ItemsError, TargetError
from export.items import read_items
from fedau2 import __version__, plugins, programs
from fedau2.plugins import PluginError

if TYPE_CHECKING:
    from export.sums import Policy

# PyTorch, ONNX and YAML are imported by the commands that need them.


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `fedau2-export` with these arguments, by default those of the process; returns the exit code.

    Raises:
        SystemExit: wrong usage (code 2) or --help (code 0).
    """
    return programs.run("fedau2-export", "export", lambda: _run(argv), _explain)


def _run(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(plugins.taken(sys.argv[1:] if argv is None else argv))
    arguments.run(arguments)
    return 0


def _explain(error: Exception) -> str | None:
    return str(error) if isinstance(error, ExportError | PluginError) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fedau2-export", description="Builds, shows, signs and checks task bundles.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(plugins.OPTION, metavar="MODULE", help=plugins.HELP)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("bundle", help="build a bundle")
    build.add_argument("--model", help="the recommender, for example fedncf, where the plan names none")
    build.add_argument(
        "--plan", type=Path, metavar="FILE", help="plan file, YAML (docs/plans.md) (with --from: the ancestor's plan)"
    )
    source = build.add_mutually_exclusive_group()
    source.add_argument(
        "--from",
        dest="ancestor",
        type=Path,
        metavar="FOLDER",
        help="bundle to go on from, also as `fedau2-coordinator export` writes it, or a fedau2-sim run that kept its "
        "model: what is trained is taken over item by item (docs/successors.md)",
    )
    source.add_argument(
        "--from-run",
        type=Path,
        metavar="RUN",
        help="folder of a fedau2-sim run: its plan and its items. The checkpoint is not the run's, but an untrained "
        "one drawn from --seed; for the trained one give --from",
    )
    build.add_argument(
        "--items",
        type=Path,
        metavar="FILE",
        help="item ids: UTF-8, one id per line (with --from-run or --from: those of the run or of the ancestor)",
    )
    build.add_argument(
        "--features",
        type=Path,
        metavar="FILE",
        help="with --from: CSV of an item id and numbers a line, by which new items begin with predicted rows",
    )
    build.add_argument("--seed", type=int, required=True, help="seed of the initial checkpoint, or of its new rows")
    build.add_argument(
        "--precision",
        choices=["fp32", "fp16"],
        default="fp32",
        help="type of item tensors in a device's memory (%(default)s)",
    )
    build.add_argument(
        "--sums",
        type=Path,
        metavar="FILE",
        help="policy of secure sums, as `fedau2-sim calibrate` writes it (docs/secure-sums.md)",
    )
    build.add_argument(
        "--unmasker",
        type=Path,
        metavar="FILE",
        help="with --sums: public key (PEM) of the unmasker that may open sums",
    )
    build.add_argument("--key", type=Path, metavar="FILE", help="sign the bundle with this private key of a publisher")
    build.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the bundle; it must be new or empty"
    )
    build.set_defaults(run=_bundle, refuse=build.error)
    for name, run, text in (("inspect", _inspect, "show a bundle"), ("verify", _verify, "check a bundle")):
        command = commands.add_parser(name, help=text)
        command.add_argument("folder", type=Path, metavar="DIR", help="the bundle's folder")
        command.set_defaults(run=run)
        if name == "verify":
            command.add_argument(
                "--key", type=Path, metavar="FILE", help="public key of the publisher that must have signed the bundle"
            )
    _add_signing(commands)
    bench = commands.add_parser("bench", help="measure training graphs beside PyTorch")
    bench.add_argument("--steps", type=int, default=1000, help="local steps to compare (%(default)s)")
    bench.add_argument("--repeats", type=int, default=100, help="repeats of every timing (%(default)s)")
    bench.set_defaults(run=_bench)
    return parser


def _add_signing(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    keygen = commands.add_parser("keygen", help="make a publisher's key")
    keygen.add_argument(
        "name", type=Path, metavar="NAME", help="the command writes NAME.key, which is secret, and NAME.pub"
    )
    keygen.set_defaults(run=_keygen)
    sign = commands.add_parser("sign", help="sign a bundle")
    sign.add_argument("folder", type=Path, metavar="DIR", help="the bundle's folder")
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="the publisher's private key")
    sign.set_defaults(run=_sign)


def _bundle(arguments: argparse.Namespace) -> None:
    start = time.monotonic()
    if arguments.unmasker and not arguments.sums:
        arguments.refuse("--unmasker needs --sums: only sums are opened")
    from export import signing, sums, unmaskers

    if arguments.key:
        signing.private_key(arguments.key)  # its errors come before a bundle is built, and so do those of the next two
    policy = sums.read(arguments.sums) if arguments.sums else None
    opened_by = [unmaskers.read(arguments.unmasker)] if arguments.unmasker else []
    built, lines = (_succeeding if arguments.ancestor else _new)(arguments)
    if policy is not None:
        built, said = _hidden(built, policy, opened_by)
        lines += said
    bundle.write(built, arguments.out)
    if arguments.key:
        signing.sign(arguments.out, arguments.key)
        lines.append(f"signed with {arguments.key}")
    task, size = built.manifest, sum(map(len, built.blobs.values()))
    attributes = dict.fromkeys(adversary.attribute for adversary in task.plan.adversaries)
    print(
        f"{arguments.out}: {task.model} over {task.items} items, "
        f"{', '.join(attributes) or 'no attribute'} to unlearn, "
        f"{len(built.blobs)} blobs of {size:,} bytes, built in {time.monotonic() - start:.1f} s"
    )
    print(*lines, sep="\n", end="\n" if lines else "")


def _new(arguments: argparse.Namespace) -> tuple[bundle.Bundle, list[str]]:
    """Builds a bundle of a plan or of a run."""
    from export.plan import planfile, resolve, run_folder

    run = arguments.from_run
    if arguments.features is not None:
        arguments.refuse("--features needs --from: without trained rows there is nothing to learn from")
    if bool(run) == bool(arguments.plan):
        arguments.refuse("give one of --plan and --from-run, or --from")
    if not run and not arguments.items:
        raise ItemsError("the items are missing: name their file with --items")
    if run:
        run_folder.expect_deployable(run, hidden=arguments.sums is not None)
    items = read_items(arguments.items or run / bundle.ITEMS)
    plan = (
        planfile.read_whole(run / bundle.PLAN, arguments.model)
        if run
        else planfile.read(arguments.plan, arguments.model, hidden=arguments.sums is not None)
    )
    return bundle.from_plan(resolve.resolve(plan, {}), items, arguments.seed, arguments.precision), []


def _hidden(built: bundle.Bundle, policy: "Policy", opened_by: list[bytes]) -> tuple[bundle.Bundle, list[str]]:
    """Adds a policy of secure sums, and says how many devices share a row of a sum, and what noise promises."""
    from export import sums

    with_policy = sums.add(built, policy, opened_by)
    sums.expect_crowd(policy, built.manifest.items)
    said = [sums.crowd_line(policy, built.manifest.items), sums.noise_line(policy)]
    if not opened_by:
        said.append("nobody may open these sums, so a coordinator refuses the bundle: give --unmasker its key")
    return with_policy, said


def _succeeding(arguments: argparse.Namespace) -> tuple[bundle.Bundle, list[str]]:
    """Builds a bundle that goes on from another, and says what it has taken over."""
    from export import features, successor

    planned = successor.read_plan(arguments.ancestor, arguments.plan, arguments.model)
    items = None if arguments.items is None else read_items(arguments.items)
    described = None if arguments.features is None else features.read(arguments.features)
    hidden = arguments.sums is not None
    more = {"precision": arguments.precision, "described": described, "hidden": hidden, **planned}
    built, takeover = successor.succeed(arguments.ancestor, items, arguments.seed, **more)
    return built, takeover.lines()


def _inspect(arguments: argparse.Namespace) -> None:
    from export.describe import describe

    print(describe(bundle.read(arguments.folder)))


def _verify(arguments: argparse.Namespace) -> None:
    from export.verify import verify

    if arguments.key:
        from export import signing

        signing.check(arguments.folder, arguments.key)
        print(f"ok  signature: by the key of {arguments.key}")
    for line in verify(arguments.folder):
        print(f"ok  {line}")


def _bench(arguments: argparse.Namespace) -> None:
    from export.bench import run

    for line in run(arguments.steps, arguments.repeats):
        print(line, flush=True)


def _keygen(arguments: argparse.Namespace) -> None:
    from export import signing

    if not arguments.name.name:
        raise TargetError("the key needs a name: its files are called NAME.key and NAME.pub")
    private, public = (arguments.name.with_name(f"{arguments.name.name}.{kind}") for kind in ("key", "pub"))
    signing.keygen(private, public)
    print(f"{private}: sign bundles with it, and keep it where nobody else can read it\n{public}: give it to your app")


def _sign(arguments: argparse.Namespace) -> None:
    from export import signing

    signing.sign(arguments.folder, arguments.key)
    print(f"{arguments.folder}: signed")
