"""What one worker of `leadglass inspect` takes: python -m bench.inspection_worker FOLDER rules|plain

Prints the peak of its resident memory in 2²⁰ bytes, once it has inspected what is in the folder.
"""

import sys
from pathlib import Path

from leadglass.inspection.batch import Settings, inspect_batch
from leadglass.inspection.media import subjects


def main(folder: str, engines: str) -> None:
    inspect_batch(list(subjects([Path(folder)])), Settings(rules=engines == "rules"))
    # Not getrusage's, which knows what the process that started this one took.
    lines = Path("/proc/self/status").read_text().splitlines()
    print(round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024, 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
