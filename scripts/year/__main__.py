"""`python -m scripts.year` prints a table in Markdown; its exit status is 1 if something did not hold."""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.year import history
from scripts.year.service import WIDTHS, Figures, Service


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the year that the command line describes. Returns the exit status."""
    args = _parser().parse_args(argv)
    if args.quick:
        args.weeks, args.devices, args.goal, args.every = 3, 12, 3, 2
    logging.basicConfig(level=logging.ERROR)
    drawn = history.draw(args.data_dir, args.weeks, args.devices, args.seed)
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder), drawn, args.model, args.goal, args.passes, args.seed)
        asyncio.run(_run(service, args.every))
    print(f"\n{service.recorded} interactions recorded, private state carried over {service.carried} times")
    print("\n".join(service.faults) or "everything held", file=sys.stderr if service.faults else sys.stdout)
    return 1 if service.faults else 0


async def _run(service: Service, every: int) -> None:
    print("| after | devices | items | rounds | NDCG@10, old items | NDCG@10, new items |\n|---|---|---|---|---|---|")
    last = await service.run(every, _show)
    _show(await service.train_anew(last.rounds))


def _show(figures: Figures) -> None:
    when = "training anew" if figures.week is None else f"week {figures.week + 1}"
    cells = (when, figures.devices, figures.items, figures.rounds, f"{figures.old:.3f}", f"{figures.new:.3f}")
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.year", description="runs a year of a service")
    add = parser.add_argument
    add("--data-dir", type=Path, required=True, help="folder that holds ml-100k")
    add("--model", choices=list(WIDTHS), default="fedncf")
    add("--weeks", type=int, default=52)
    add("--devices", type=int, default=100, help="users of the whole year")
    add("--goal", type=int, default=10, help="contributions of a round")
    add("--passes", type=int, default=1, help="syncs of a device in a week")
    add("--every", type=int, default=13, help="weeks between two lines of the table")
    add("--seed", type=int, default=0)
    add("--quick", action="store_true", help="a few weeks with a few devices")
    return parser


if __name__ == "__main__":
    sys.exit(main())
