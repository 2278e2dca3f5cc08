"""`python -m leadglass.assess.report.typeset TIMESTAMP` reads the template's values and writes the PDF. A process of
its own, since the compiler keeps whatever it has once laid out, and a watch goes on for months.
"""

import sys
from importlib.resources import as_file, files

import typst


def main() -> None:
    with as_file(files("leadglass.assess.report").joinpath("templates")) as folder:
        document = typst.compile(
            folder / "report.typ",
            root=folder,
            ignore_system_fonts=True,
            sys_inputs={"page": sys.stdin.buffer.read().decode()},
            timestamp=int(sys.argv[1]),
        )
    sys.stdout.buffer.write(document)


if __name__ == "__main__":
    main()
