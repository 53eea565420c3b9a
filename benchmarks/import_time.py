"""Cost of `import funcspace` beside `import torch`.

Starts one interpreter for each in turn, in pairs so that a change of load meets both, and prints the
median time of each and the median ratio of the pairs.

    python benchmarks/import_time.py --pairs 15
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from time import perf_counter

LIMIT = 1.5


def seconds(statement: str) -> float:
    """Wall-clock time of a fresh interpreter that runs `statement`."""
    started = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15, help="interpreters started for each of the two")
    arguments = parser.parse_args()

    seconds("import funcspace")  # byte code and the file cache
    pairs = [(seconds("import torch"), seconds("import funcspace")) for _ in range(arguments.pairs)]
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    record = {
        "import torch, s": round(statistics.median(theirs for theirs, _ in pairs), 3),
        "import funcspace, s": round(statistics.median(ours for _, ours in pairs), 3),
        "ratio": round(ratio, 3),
        "limit": LIMIT,
        "pairs": arguments.pairs,
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "funcspace": version("funcspace"),
    }
    print(json.dumps(record, indent=2))
    sys.exit(ratio > LIMIT)


if __name__ == "__main__":
    main()
