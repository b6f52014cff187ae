"""`python -m tests.frameworks [NAME…]`: measures frameworks, a line a program, and writes
docs/frameworks.md of all that were measured last. The status is 1 where a line is not all that is
promised."""

import argparse
import datetime
import sys

from tests.frameworks import page
from tests.frameworks.environments import NotInstalled
from tests.frameworks.framework import Framework, Program, frameworks
from tests.frameworks.kept import keep, kept
from tests.frameworks.measured import Failed, Measured, measure
from tests.provider.process import ProviderError


def main() -> None:
    known = frameworks()
    parser = argparse.ArgumentParser(prog="python -m tests.frameworks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(sorted(known))}")
    parser.add_argument("--page", action="store_true", help="only write the page anew")
    parser.add_argument(
        "--rest", action="store_true", help="only what was never measured, or is not all that"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - known.keys():
        parser.error(f"no such framework: {', '.join(sorted(unknown))}")
    good = True
    for name in [] if options.page else options.names or sorted(known):
        stand = _last(name, known[name])[1] if options.rest else []
        lines = [
            next((each for each in stand if each.name == program.name and each.good), None)
            or _line(name, known[name], program)
            for program in known[name].programs
        ]
        keep(name, lines, on=datetime.datetime.now(datetime.timezone.utc).date().isoformat())
        good = good and all(each.good for each in lines)
    page.write(known, {name: _last(name, known[name]) for name in sorted(known)})
    sys.exit(0 if good else 1)


def _last(name: str, framework: Framework) -> tuple[str, list[Measured]]:
    """The day and what was measured of each program; what never was is said so."""
    day, lines = kept(name) or ("", [])
    by_name = {each.name: each for each in lines}
    return day, [
        by_name.get(each.name) or Measured.failed(each, "not measured yet")
        for each in framework.programs
    ]


def _line(name: str, framework: Framework, program: Program) -> Measured:
    try:
        line = measure(name, framework, program)
    except (AssertionError, Failed, NotInstalled, ProviderError) as error:
        line = Measured.failed(program, str(error))
        print(f"{name} | {program.name}: {error}", flush=True)
    else:
        print(
            f"{name} | {program.name} {line.version}: {'good' if line.good else 'NOT GOOD'}"
            f" | {line.calls} calls a run | {len(line.changes)} lines | used {line.used:.1%}"
            f" | {line.tries} tries | visible {line.visible} | cancelled {line.cancelled}, left"
            f" {line.reserved_nano}" + ("" if line.good else f"\n{line.text}"),
            flush=True,
        )
    return line


if __name__ == "__main__":
    main()
