"""The commands `fedau2-coordinator bench uploads`, `slow-phones`, `siege`, `replicas` and `herd`."""

import argparse
import asyncio
import json
from dataclasses import asdict
from importlib import import_module


def add_bench(parser: argparse.ArgumentParser) -> None:
    """Adds the benchmarks to a command's parser."""
    commands = parser.add_subparsers(required=True, metavar="BENCH")
    _add(commands.add_parser("uploads", help="measure durable uploads beside a server that only adds bytes"), "uploads")
    _add(commands.add_parser("slow-phones", help="measure check-ins beside a thousand slow uploads"), "slow_phones")
    _add(commands.add_parser("siege", help="measure honest devices beside idle, stalled and wrong callers"), "siege")
    several = commands.add_parser("replicas", help="measure durable uploads to one, two and three coordinators")
    several.add_argument("--database", required=True, metavar="URL", help="an empty database in PostgreSQL")
    several.add_argument("--objects", metavar="URL", help="an empty object store that they share; default: a folder")
    _add(several, "replicas")
    crowd = commands.add_parser("herd", help="simulate a day: how evenly devices come, and whether a round starves")
    _add(crowd, "herd")


def _add(parser: argparse.ArgumentParser, bench: str) -> None:
    parser.add_argument("--quick", action="store_true", help="measure less; the figures are less certain")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON instead of a table")
    parser.set_defaults(run=_run, bench=bench)


def _run(args: argparse.Namespace) -> int:
    bench = import_module(f"coordinator.bench.{args.bench}")  # here, because help needs none of the benchmarks
    more = {name: getattr(args, name) for name in ("database", "objects") if name in args}
    report = asyncio.run(bench.measure(bench.QUICK if args.quick else bench.FULL, **more))
    print(json.dumps(asdict(report), indent=2) if args.json else bench.table(report))
    return 0
