#!/usr/bin/env python3
"""Sluice's server beside llama.cpp's on the same machine, in turns, in one run. See README.md.

    serving.py --sluice BIN --llama FOLDER --model GGUF
               [--rows docs,agents,agents-16,mixed,objects,fair,agree,trace] [--formats same,q8_0]
               [--sides peer,plain,hints,published,ggml,order=arrival,pause=200] [--rounds 3]
               [--quick] [--json FILE] [--trace FILE]
    serving.py --tune docs,fair ...    llama-server alone, every setting that settings.py lists
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent / "llama_peer"))
import agree
import bound
import settings
import sides
import table
import turns
from sides import say

SIDES = ["peer", "plain", "hints", "published", "ggml"]
FORMATS = ["same", "q8_0"]
AGREE = "agree"


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sluice", required=True)
    parser.add_argument("--llama", required=True, help="the folder of third_party.py's llama_server")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", help="default: all, `trace` where there is one")
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--sides", default=",".join(SIDES),
                        help="peer, plain, hints, published, ggml, one policy such as order=arrival, "
                             "or pause=200 (--between-tokens-ms)")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--tries", type=int,
                        help="of a run that something disturbs (3; 1 with --quick but for --tune)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", help="where the numbers go (default: build/bench/serving-TIME.json)")
    parser.add_argument("--no-bound", action="store_true", help="do not measure llama.cpp's own rates")
    parser.add_argument("--no-calibration", action="store_true",
                        help="neither measure our costs nor prepare our weights first")
    parser.add_argument("--ours", default="", help="more arguments of `sluice serve`, to try them")
    parser.add_argument("--peer", default="",
                        help="this setting of llama-server in every row (as --try has them)")
    parser.add_argument("--size", default="",
                        help="other sizes, such as documents=12,max_tokens=24 (workloads.py, Size)")
    parser.add_argument("--trace", default=os.environ.get("SLUICE_TRACE"))
    parser.add_argument("--trace-minutes", type=float, default=10)
    parser.add_argument("--trace-scale", type=float, default=64, help="lengths are divided by it")
    parser.add_argument("--trace-share", type=int, default=1, help="one conversation in so many")
    parser.add_argument("--tune", help="these rows, or `all`")
    parser.add_argument("--try", dest="trying", default="",
                        help="with --tune: these settings, such as 8,8u,16b512 (settings.py)")
    return complete(parser, parser.parse_args())


def complete(parser, options):
    rows = [row for row in settings.PEERS if row != "trace" or options.trace]
    options.tune = rows if options.tune == "all" else (options.tune or "").split(",")
    options.rows = options.rows.split(",") if options.rows else [*rows, AGREE]
    options.tune = [row for row in options.tune if row]
    for row in [*options.tune, *options.rows]:
        if row not in settings.PEERS and (row != AGREE or row in options.tune):
            parser.error(f"no row `{row}`; there are {', '.join([*settings.PEERS, AGREE])}")
    options.formats, options.sides = options.formats.split(","), options.sides.split(",")
    for side in options.sides:
        if side != "peer" and not settings.is_kind(side):
            parser.error(f"no side `{side}`; there are {', '.join(SIDES)}, a policy and pause=MS")
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.tries = options.tries or (1 if options.quick and not options.tune else sides.TRIES)
    options.json = pathlib.Path(options.json or sides.ROOT / "build" / "bench" / time.strftime(
        "serving-%Y%m%d-%H%M%S.json"))
    return options


def write_json(options, result):
    """After each line: an hour's run may be broken off."""
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1))


def tune(options, about, logs):
    tuned = []
    for row in options.tune:
        for name in options.formats:
            tuned.append(turns.tune(options, row, name, logs))
            write_json(options, {"about": about, "tuned": tuned})
    table.print_builds(about)
    table.print_tuned(tuned)


def rates_of(options):
    """{format: {whose: Rates}}, ours first; what they are measured by also gets our side ready."""
    found = {}
    for name in options.formats:
        ours = set(options.sides) - {"peer"}
        found[name] = sides.get_ready(options, name) if ours else {}
        if not options.no_bound:
            say(f"measuring llama.cpp's own rates, {name}")
            found[name]["llama.cpp's"] = bound.measure(
                f"{options.llama}/bin/llama-batched-bench", sides.converted(options, name),
                options.threads)
    return found


def compare(options, about, logs):
    """True where every answer of `agree` is within its bar."""
    lines, agreed = [], []
    rows = [row for row in options.rows if row != AGREE]
    rates = rates_of(options) if rows else {}
    about["rates"] = {name: {whose: {"prefill": one.prefill, "decode": one.decode}
                             for whose, one in found.items()} for name, found in rates.items()}
    for row, name in [(row, name) for row in options.rows for name in options.formats]:
        if row == AGREE:
            agreed += agree.measure(options, name, logs)
        else:
            lines.append(turns.measure_row(options, row, name, rates[name], logs))
        write_json(options, {"about": about, "lines": lines, "agree": agreed})
    table.print_builds(about)
    if lines:
        table.print_table(lines)
    table.print_agreements(agreed)
    return all(line["met"] for line in agreed)


def main():
    options = read_options()
    logs = tempfile.mkdtemp(prefix="bench-serving-")
    say(f"logs of the servers: {logs}; numbers: {options.json}")
    about = sides.about(options)
    good = True
    if options.tune:
        tune(options, about, logs)
    else:
        good = compare(options, about, logs)
    say(f"numbers: {options.json}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
