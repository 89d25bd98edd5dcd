"""Prints audits side by side, as in docs/results/leakage.md: `python scripts/leakage_table.py AUDIT_FOLDER...`.

The table has a row for each attack and number of contributions of any audit, and a column for each audit.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_Row = tuple[str, str, int]


def table(folders: Sequence[Path]) -> str:
    """Formats the success of each attack with its 95% interval as Markdown; bold if it is above the null's p95."""
    audits = [json.loads((folder / "audit.json").read_text()) for folder in folders]
    cells = [{_key(finding): _cell(finding) for finding in audit["findings"]} for audit in audits]
    rows = list(dict.fromkeys(key for column in cells for key in column))
    lines = [["attack", "learns", "after", *(folder.name for folder in folders)]]
    lines.append(["---"] * len(lines[0]))
    lines += [[name, learns, str(after or "-"), *(column.get((name, learns, after), "") for column in cells)]
              for name, learns, after in rows]  # fmt: skip
    lines.append(["NDCG@10", "", "", *(f"{audit['ndcg@10']:.3f}" for audit in audits)])
    lines.append(["KB up per contribution", "", "", *(f"{audit['bytes_up'] / 1000:.0f}" for audit in audits)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _key(finding: dict[str, Any]) -> _Row:
    return finding["attack"], finding["learns"], finding["participations"]


def _cell(finding: dict[str, Any]) -> str:
    success = f"{finding['success']:.2f}"
    formatted = f"**{success}**" if finding["success"] > finding["null_p95"] else success
    return f"{formatted} ({finding['low']:.2f}-{finding['high']:.2f})"


if __name__ == "__main__":
    print(table([Path(name) for name in sys.argv[1:]]))
