"""The command line of the prose checks."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from scripts.prose import check, files
from scripts.prose.fragments import CODE
from scripts.prose.rules import RULES


def main(arguments: list[str] | None = None) -> int:
    """Prints all findings and how often each rule was broken. Returns the exit status, 1 if there are findings."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.prose", description="Checks the prose of Markdown, Python and protocol files."
    )
    parser.add_argument("paths", nargs="*", type=Path, default=[Path()], help="files and folders to check (default: .)")
    parser.add_argument("--rule", action="append", help="check only this rule; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the rules and exit")
    parser.add_argument("--summary", action="store_true", help="print only the number of findings in each file")
    options = parser.parse_args(arguments)
    explanations = {rule.name: rule.explanation for rule in RULES}
    if options.list:
        print("\n".join(f"{name}: {explanation}" for name, explanation in explanations.items()))
        return 0
    if missing := [str(path) for path in options.paths if not path.exists()]:
        parser.error(f"{', '.join(missing)}: no such file or folder")
    findings = [finding for path in files(options.paths) for finding in check(path)]
    findings = [finding for finding in findings if not options.rule or finding.rule in options.rule]
    if options.summary:
        for path, number in Counter(finding.path for finding in findings).most_common():
            print(f"{number:5} {path}")
    else:
        for finding in findings:
            print(f"{finding.path}:{finding.line}: {finding.rule}: {explanations[finding.rule]}")
            print("   ", finding.excerpt.replace(CODE, "`...`"))
    counts = Counter(finding.rule for finding in findings)
    print(f"{len(findings)} findings", *(f"{name} {number}" for name, number in counts.most_common()), sep=", ")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
