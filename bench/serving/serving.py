#!/usr/bin/env python3
"""Sluice's server beside llama.cpp's on the same machine, in turns, in one run. See README.md.

    serving.py --sluice BIN --llama FOLDER --model GGUF [--rows docs,agents,mixed,objects,fair]
               [--formats same,q8_0] [--sides peer,plain,hints,ggml] [--rounds 3] [--quick]
               [--json FILE] [--trace FILE] [--cost FILE]
    serving.py --tune docs ...         llama-server alone, every setting that settings.py lists
"""

import argparse
import asyncio
import dataclasses
import json
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent / "llama_peer"))
import bound
import http_client
import model_files
import report
import servers
import settings
import trace
import workloads

ROWS = ["docs", "agents", "mixed", "objects", "fair"]
SIDES = ["peer", "plain", "hints", "ggml"]
FORMATS = ["same", "q8_0"]
# A run beside which something else used so much of a core is taken again, so many times at most.
SHARED_CORES, TRIES = 0.15, 3
OWN_ROWS = {"fair", "trace"}  # about our side first: one format of weights
ONCE = {"hints", "ggml"}  # one round of these is enough to see their part


ENGINE_COUNTERS = ["prefill_tokens", "shared_tokens", "copied_back_tokens", "moved_to_host_tokens",
                   "decode_tokens", "forced_tokens", "batches", "preemptions", "busy_seconds",
                   "mask_seconds", "masks"]


def say(text):
    print(f"bench-serving: {text}", file=sys.stderr, flush=True)


def converted(options, name):
    return model_files.converted(options.model, options.llama, options.threads, name, say)


def peer_setup(options, model, peer, size):
    pool = size.pool_tokens or settings.POOL_TOKENS
    return servers.Setup("llama-server", f"llama-server {peer.name}",
                         f"{options.llama}/bin/llama-server", model,
                         peer.arguments(pool, options.threads))


def our_setup(options, model, kind, size):
    pool = size.pool_tokens or settings.POOL_TOKENS
    return servers.Setup("sluice", {"plain": "sluice", "hints": "sluice, hints",
                                    "ggml": "sluice, ggml attention"}[kind],
                         options.sluice, model,
                         settings.ours(pool, options.threads) + tuple(options.ours.split()),
                         our_environment(options, model, kind), hints=kind == "hints")


def our_environment(options, model, kind="plain"):
    return (model_files.our_environment(options.model, model) +
            (("SLUICE_ATTENTION", "ggml"),) * (kind == "ggml"))


def get_ready(options):
    """What a user's second start finds, on the machine as quiet as the runs have it."""
    for name in options.formats:
        for words in model_files.get_ready(options.sluice, options.model, converted(options, name), say):
            print(f"  {name} · {words}")


def workload_of(options, row):
    if row != "trace":
        return getattr(workloads, row)
    if not options.trace:
        raise SystemExit("the row `trace` needs --trace FILE (Mooncake's conversation trace)")
    minutes = 0.75 if options.quick else options.trace_minutes
    requests = trace.read(options.trace, minutes, options.trace_scale, options.trace_share)
    say(f"trace: {len(requests)} requests in {minutes} minutes")
    return trace.workload(requests)


async def run_once(options, setup, row, size, logs):
    """One server from its start to its end; (measures, answers)."""
    run = workload_of(options, row)
    server = servers.Server(setup, logs)
    try:
        await server.ready()
        client = http_client.Client(server.port, {"model": await http_client.model_name(server.port)},
                                    tells=setup.hints)
        warm = await client.chat([{"role": "user", "content": "Say hello."}], 4, "warm")
        if warm.error:
            raise SystemExit(f"{setup.name} does not answer: {warm.error}\n{server.tail()}")
        own, theirs, start = time.process_time(), server.processor_seconds(), time.perf_counter()
        everybody = servers.busy_seconds()
        before = await http_client.engine_counters(server.port)
        outcome = await run(client, size)
        wall = time.perf_counter() - start
        everybody = servers.busy_seconds() - everybody
        own, theirs = time.process_time() - own, server.processor_seconds() - theirs
        numbers = report.measures(row, outcome)
        numbers["server cpu s"] = theirs
        numbers["client cores"], numbers["server cores"] = own / wall, theirs / wall
        numbers["others' cores"] = max(0.0, everybody - own - theirs) / wall
        after = await http_client.engine_counters(server.port)
        numbers.update({f"engine's {name}": after[name] - before.get(name, 0)
                        for name in ENGINE_COUNTERS if name in after})
        peak, now, anonymous = server.resident_mb()
        numbers["resident peak MB"], numbers["resident end MB"] = peak, now
        numbers["not of files MB"] = anonymous
    finally:
        server.stop()
    for answer in [answer for answer in outcome.answers if answer.error][:3]:
        say(f"{setup.name}: {answer.name} failed: {answer.error[:200]}")
    return numbers, outcome.answers


def size_of(options, row):
    size = (settings.QUICK if options.quick else settings.SIZES)[row]
    changes = dict(word.split("=") for word in options.size.split(",") if word)
    return dataclasses.replace(size, **{name: int(value) for name, value in changes.items()})


def tune(options, logs):
    row = options.tune
    size = size_of(options, row)
    found = []
    for name in options.formats:
        model = converted(options, name)
        peers = [settings.peer_from(word) for word in options.trying.split(",") if word]
        for peer in peers or settings.PEERS[row]:
            numbers, _ = asyncio.run(run_once(options, peer_setup(options, model, peer, size), row,
                                              size, logs))
            report.print_run(row, f"{name} · {peer.name}", numbers)
            found.append({"format": name, "setting": peer.name, **numbers})
    return {"tune": row, "runs": found}


def measure_row(options, row, name, logs):
    """{setup name: [measures of each round]} of one line, the sides in turns."""
    size = size_of(options, row)
    model = converted(options, name)
    setups = {"peer": peer_setup(options, model, settings.PEERS[row][0], size)}
    for kind in ("plain", "hints", "ggml"):
        setups[kind] = our_setup(options, model, kind, size)
    wanted = [kind for kind in options.sides
              if not (kind == "hints" and row != "agents") and
              not (kind == "ggml" and (row not in ("docs", "agents") or name == "same"))]
    runs, answers = {kind: [] for kind in wanted}, {}
    for round_number in range(options.rounds):
        turn = round_number % len(wanted)
        for kind in wanted[turn:] + wanted[:turn]:
            if kind in ONCE and runs[kind]:
                continue
            say(f"{row}, {name}, round {round_number + 1} of {options.rounds}: {setups[kind].name}")
            for _ in range(1 if options.quick else TRIES):
                numbers, answers[kind] = asyncio.run(run_once(options, setups[kind], row, size, logs))
                report.print_run(row, f"{name} · {setups[kind].name}", numbers)
                if numbers["others' cores"] < SHARED_CORES:
                    break
                say("something else used the cores meanwhile")
            runs[kind].append(numbers)
    line = {"row": row, "format": name, "size": dataclasses.asdict(size), "model": model,
            "setups": {kind: {"name": setups[kind].name, "arguments": setups[kind].arguments}
                       for kind in wanted}, "runs": runs}
    if "peer" in answers and "plain" in answers:
        line["agreement"] = report.agreement(answers["peer"], answers["plain"])
    line["bound"] = bounds(options, row, name, size, answers)
    return line


RATES = {}


def bounds(options, row, name, size, answers):
    """{whose rates: seconds}: what the row would take if each token were computed once."""
    if row not in ("docs", "agents") or options.no_bound:
        return {}
    if name not in RATES:
        say(f"measuring llama.cpp's own rates, {name}")
        RATES[name] = {"llama.cpp": bound.measure(f"{options.llama}/bin/llama-batched-bench",
                                                  converted(options, name), options.threads)}
        for path in options.cost:
            RATES[name][path] = bound.from_calibration(json.loads(pathlib.Path(path).read_text()))
    seen = answers.get("plain") or answers["peer"]
    if row == "docs":
        return {whose: bound.docs_s(rates, seen, size.in_flight)
                for whose, rates in RATES[name].items()}
    return {whose: bound.agents_s(rates, seen, size.sessions) for whose, rates in RATES[name].items()}


def median_of(runs, measure):
    values = [numbers[measure] for numbers in runs if measure in numbers]
    return statistics.median(values) if values else float("nan")


def print_table(lines):
    print(f"\n{'workload':<9} {'files':<5} {'measure':<15} {'side':<24} {'llama-server':<22} "
          f"{'ours':<22} {'ratio':<20} bar")
    for line in lines:
        for measure, *bars in report.HEADLINES[line["row"]]:
            print_headline(line, measure, bars[0 if line["format"] == "same" else 1])
        print_facts(line)


def print_headline(line, measure, bar):
    runs = line["runs"]
    theirs = [numbers[measure] for numbers in runs.get("peer", []) if measure in numbers]
    for kind, own_runs in runs.items():
        if kind == "peer":
            continue
        ours = [numbers[measure] for numbers in own_runs if measure in numbers]
        ratios = [report.ratio(measure, peer, own) for peer, own in zip(theirs, ours)]
        middle = statistics.median(ratios) if ratios else float("nan")
        verdict = "" if bar is None or kind == "ggml" else \
            f"{bar}: {'met' if middle >= bar else 'MISSED'}"
        print(f"{line['row']:<9} {line['format']:<5} {measure:<15} "
              f"{line['setups'][kind]['name']:<24} {report.spread(theirs) if theirs else '-':<22} "
              f"{report.spread(ours) if ours else '-':<22} "
              f"{report.spread(ratios) if ratios else '-':<20} {verdict}".rstrip(), flush=True)


def print_facts(line):
    for kind, runs in line["runs"].items():
        wall = median_of(runs, "wall s")
        words = [f"failed {max(numbers['failed'] for numbers in runs)} of {runs[0]['requests']}",
                 f"output tokens {median_of(runs, 'output tokens'):.0f}",
                 f"cached tokens {median_of(runs, 'cached tokens'):.0f}",
                 f"resident peak {median_of(runs, 'resident peak MB'):.0f} MB",
                 f"client {100 * median_of(runs, 'client cores'):.1f} % of a core"]
        words += [f"{measure} {median_of(runs, measure):.4g} (bar {bar(runs[0]):.4g})"
                  for measure, bar in report.OWN_BARS.get(line["row"], [])]
        for whose, seconds in line["bound"].items():
            words.append(f"{seconds / wall:.2f} of the bound by {whose}'s rates ({seconds:.1f} s)")
        print(f"{'':<9} {line['setups'][kind]['name']}: {', '.join(words)}")
    if "agreement" in line:
        same, compared, leading = line["agreement"]
        print(f"{'':<9} equal answers: {same} of {compared}; equal text before the first difference: "
              f"{100 * leading:.0f} %")
    peaks = {kind: median_of(runs, "resident peak MB") for kind, runs in line["runs"].items()}
    if "peer" in peaks and "plain" in peaks:
        print(f"{'':<9} memory, ours / llama-server's: {peaks['plain'] / peaks['peer']:.2f} (bar 1.15)")


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sluice", required=True)
    parser.add_argument("--llama", required=True, help="the folder of third_party.py's llama_server")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json")
    parser.add_argument("--cost", action="append", default=[],
                        help="JSON of `sluice models calibrate`, for the bound")
    parser.add_argument("--no-bound", action="store_true")
    parser.add_argument("--no-calibration", action="store_true",
                        help="neither measure our costs nor prepare our weights first")
    parser.add_argument("--ours", default="", help="more arguments of `sluice serve`, to try them")
    parser.add_argument("--size", default="",
                        help="other sizes, such as documents=12,max_tokens=24 (workloads.py, Size)")
    parser.add_argument("--trace")
    parser.add_argument("--trace-minutes", type=float, default=10)
    parser.add_argument("--trace-scale", type=float, default=32)
    parser.add_argument("--trace-share", type=int, default=4)
    parser.add_argument("--tune", choices=list(settings.PEERS))
    parser.add_argument("--try", dest="trying", default="",
                        help="with --tune: these settings, such as 8,8u,16b512 (settings.py)")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    for name in ("rows", "formats", "sides"):
        setattr(options, name, getattr(options, name).split(","))
    return options


def write_json(options, result):
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1))


def main():
    options = read_options()
    logs = tempfile.mkdtemp(prefix="bench-serving-")
    say(f"logs of the servers: {logs}")
    about = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
             "threads": options.threads, "rounds": options.rounds, "quick": options.quick,
             "host MB": settings.HOST_MB, "pool tokens": settings.POOL_TOKENS}
    if options.tune:
        write_json(options, {**about, **tune(options, logs)})
        return
    if set(options.sides) - {"peer"} and not options.no_calibration:
        get_ready(options)
    lines = []
    for row, name in [(row, name) for row in options.rows for name in options.formats
                      if row not in OWN_ROWS or name == options.formats[-1]]:
        lines.append(measure_row(options, row, name, logs))
        write_json(options, {**about, "lines": lines})  # an hour's run may be broken off
    print_table(lines)


if __name__ == "__main__":
    main()
