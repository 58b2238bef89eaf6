"""Command line of the benchmarks: ``python -m bench kernels [detector …] [--quick] [--model NAME] [--json FILE]``."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench.plan import Plan
from bench.report import Row, lost, print_table, write_json, write_markdown
from bench.suites import SUITES, measure
from service.detection.detector import usable_cores
from service.detection.registry import resolve_model
from service.settings import Settings

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the suites that are named; 1 if a target is missed, or a floor where a quick run has one, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Benchmarks; method in bench/README.md."
    )
    parser.add_argument("suites", nargs="+", choices=list(SUITES), metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument(
        "--quick", action="store_true", help="for CI: fewer rounds, and floors count instead of targets"
    )
    parser.add_argument(
        "--model",
        default=Settings().model,
        metavar="NAME",
        help="another model, in FACE_API_MODEL_DIR; default: the bundled one",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there as well")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the http suite's latencies there")
    options = parser.parse_args(arguments)
    model = resolve_model(options.model, Path(os.environ.get("FACE_API_MODEL_DIR", Settings().model_dir)))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            model=model, folder=Path(folder), quick=options.quick, threads=usable_cores(), svg=options.svg
        )
        for suite in dict.fromkeys(options.suites):
            rows += measure(suite, plan)
    print(f"model {model.name}, {plan.threads} cores")
    print_table(rows)
    if options.json is not None:
        write_json(rows, options.json)
    if options.markdown is not None:
        write_markdown(rows, options.markdown)
    failed = lost(rows, quick=options.quick)
    for row in failed:
        print(f"FAILED: {row.suite}: {row.case}, {row.contender}: {row.ratio}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
