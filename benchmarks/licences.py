"""`make audit`: under which licences everything installed stands; python -m benchmarks.licences ALLOWED LIST."""

import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

UNSAID = {"apprentice": "MIT"}  # ourselves


def find_licence(found: Distribution) -> str:
    """Return what a package says about its licence: an expression, classifiers, or the beginning of its text."""
    said_of = found.metadata.json  # keys as PEP 566 writes them
    name = str(said_of.get("name", "")).lower()
    expression = str(said_of.get("license_expression", ""))
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in found.metadata.get_all("Classifier") or []
        if line.startswith("License :: ")
    ]
    said = str(said_of.get("license", "")).strip().splitlines()
    return UNSAID.get(name) or expression or ", ".join(classifiers) or (said[0][:80] if said else "not stated")


def main(allowed: str, target: Path) -> int:
    """Write the list; return 1 when a licence is not among those that are *allowed*."""
    licences = {str(found.metadata["Name"]): find_licence(found) for found in distributions()}
    rows = sorted(licences.items(), key=lambda item: item[0].lower())
    target.write_text("".join(f"{name}: {licence}\n" for name, licence in rows))
    odd = {name: licence for name, licence in rows if not re.search(allowed, licence, re.IGNORECASE)}
    print(f"audit: {len(rows)} packages' licences are in {target}; to be looked at: {len(odd)}")
    for name, licence in odd.items():
        print(f"  {name}: {licence}")
    return int(any(re.search(r"\bA?GPL", licence) and "LGPL" not in licence for licence in odd.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
