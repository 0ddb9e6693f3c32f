"""Runs: one server under one workload, again where the machine was not quiet; the sides of a row in turns;
the peer's settings against each other."""

import asyncio
import dataclasses
import statistics
import time

import bound
import http_client
import report
import servers
import settings
import trace_replay
import workloads
from sides import SHARED_CORES, converted, our_setup, peer_setup, say, told

ONCE = {"ggml"}  # minutes a run; one round is enough to see its part
# Settings of the peer whose one run came so near the best one's run again, so often in all.
CLOSE, TUNE_ROUNDS = 1.15, 3
ENGINE_COUNTERS = ["prefill_tokens", "shared_tokens", "copied_back_tokens", "moved_to_host_tokens",
                   "decode_tokens", "forced_tokens", "batches", "preemptions", "busy_seconds",
                   "mask_seconds", "masks"]


def workload_of(options, row):
    if row != "trace":
        return getattr(workloads, row.partition("-")[0])
    if not options.trace:
        raise SystemExit("the row `trace` needs SLUICE_TRACE or --trace FILE (Mooncake's "
                         "conversation trace)")
    minutes = 0.75 if options.quick else options.trace_minutes
    requests = trace_replay.read(options.trace, minutes, options.trace_scale, options.trace_share)
    say(f"trace: {len(requests)} requests in {minutes} minutes")
    return trace_replay.workload(requests)


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


def run_quietly(options, setup, row, size, logs, words):
    """The quietest of at most so many tries, the first one that nothing disturbed; (measures, answers)."""
    tries = []
    while not tries or (tries[-1][0]["others' cores"] >= SHARED_CORES and len(tries) < options.tries):
        tries.append(asyncio.run(run_once(options, setup, row, size, logs)))
        report.print_run(row, words, tries[-1][0])
        if tries[-1][0]["others' cores"] >= SHARED_CORES:
            say("something else used the cores meanwhile")
    numbers, answers = min(tries, key=lambda one: one[0]["others' cores"])
    numbers["tries"] = len(tries)
    return numbers, answers


def size_of(options, row):
    size = (settings.QUICK if options.quick else settings.SIZES)[row]
    changes = dict(word.split("=") for word in options.size.split(",") if word)
    return dataclasses.replace(size, **{name: int(value) for name, value in changes.items()})


def tune(options, row, name, logs):
    """Every setting of the peer once, then those that came near the best again, in turns; the best
    by its median first."""
    size, model = size_of(options, row), converted(options, name)
    peers = [settings.peer_from(word) for word in options.trying.split(",") if word]
    runs = {peer: [] for peer in peers or settings.PEERS[row]}
    for number in range(TUNE_ROUNDS):
        near = [peer for peer in runs if number == 0 or is_near(row, runs, peer)]
        for peer in near:
            say(f"tune {row}, {name}, round {number + 1}: {peer.name}")
            runs[peer].append(run_quietly(options, peer_setup(options, model, peer, size), row, size,
                                          logs, f"{name} · {peer.name}")[0])
    ordered = sorted(runs, key=lambda peer: cost_of(row, runs[peer]))
    return {"row": row, "format": name, "size": dataclasses.asdict(size),
            "settings": [{"setting": peer.name, "arguments": peer.arguments(
                size.pool_tokens or settings.POOL_TOKENS, options.threads), "runs": runs[peer]}
                for peer in ordered]}


def cost_of(row, runs):
    """What the row is about as one number, lower is better; a setting with failures comes last."""
    measure = report.headline(row)[0][0]
    values = [numbers[measure] for numbers in runs if measure in numbers and not numbers["failed"]]
    if len(values) < len(runs) or not values:
        return float("inf")
    middle = statistics.median(values)
    return 1 / max(middle, 1e-9) if report.higher_is_better(measure) else middle


def is_near(row, runs, peer):
    return cost_of(row, runs[peer]) <= CLOSE * min(cost_of(row, others) for others in runs.values())


def measure_row(options, row, name, rates, logs):
    """One line: the runs of each side, in turns, with their settings, and the bound."""
    size, model = size_of(options, row), converted(options, name)
    peer = settings.peer_from(options.peer) if options.peer else settings.best_peer(row, name)
    setups = {"peer": peer_setup(options, model, peer, size)}
    for kind in options.sides:
        if kind != "peer" and settings.applies(kind, row, name):
            setups[kind] = our_setup(options, model, kind, size)
    wanted = [kind for kind in options.sides if kind in setups]
    runs, answers = {kind: [] for kind in wanted}, {}
    for round_number in range(options.rounds):
        turn = round_number % max(1, len(wanted))
        for kind in wanted[turn:] + wanted[:turn]:
            if kind in ONCE and runs[kind]:
                continue
            say(f"{row}, {name}, round {round_number + 1} of {options.rounds}: {setups[kind].name}")
            numbers, answers[kind] = run_quietly(options, setups[kind], row, size, logs,
                                                 f"{name} · {setups[kind].name}")
            runs[kind].append(numbers)
    line = {"row": row, "format": name, "size": dataclasses.asdict(size), "model": model,
            "setups": {kind: told(setups[kind]) for kind in wanted}, "runs": runs}
    if "peer" in answers and "plain" in answers:
        line["agreement"] = report.agreement(answers["peer"], answers["plain"])
    line["bound"] = bounds(row, size, rates, runs, answers)
    return line


def bounds(row, size, rates, runs, answers):
    """{whose rates: seconds}: what the row would take if each token were computed once."""
    kind = "plain" if "plain" in answers else next(iter(answers), None)
    if kind is None:
        return {}
    chosen = 1.0
    if "engine's decode_tokens" in runs[kind][-1]:
        chosen = min(1.0, runs[kind][-1]["engine's decode_tokens"] /
                     max(1, runs[kind][-1]["output tokens"]))
    found = {whose: bound.row_s(row, rate, size, answers[kind], chosen)
             for whose, rate in rates.items()}
    return {whose: seconds for whose, seconds in found.items() if seconds is not None}
