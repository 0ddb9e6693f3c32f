#!/usr/bin/env python3
"""Three pipelines over real rows: Sluice beside three programs on llama-server, in turns. See README.md.

    batch.py --sluice BIN --llama FOLDER --model GGUF --python PYTHON [--planning BIN]
             [--pipelines triage,documents,lookup] [--sides async,langgraph,expert,sluice,written]
             [--format q8_0|same] [--rounds 3] [--once async,langgraph] [--quick] [--parallelqa FILE]
             [--json FILE]
"""

import argparse
import asyncio
import dataclasses
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent / "llama_peer"))
import estimate
import http_client
import model_files
import ours
import peer_settings
import questions
import report
import rows
import same_prompts
import servers
from history import History

PIPELINES = list(questions.PIPELINES)
PEERS = {"async": "async client", "langgraph": "LangGraph", "expert": "expert"}
SIDES = [*PEERS, "sluice", "written"]
ONCE = "written"  # one round is enough to see what the optimizer adds
# A run beside which something else used so much of a core is taken again, so many times at most.
SHARED_CORES, TRIES = 0.15, 3
SIZES = {"triage": 600, "documents": 150, "lookup": 0}
QUICK = {"triage": 32, "documents": 12, "lookup": 8}
SAMPLE, QUICK_SAMPLE = 8, 2  # rows whose prompts are compared first
# The best for bench/serving's documents; `--tune` tries others.
PEER = peer_settings.Peer(8)
# Answers the same to the same words, whatever was asked before: nothing is taken from earlier prompts.
CHECKED = peer_settings.Peer(1, cache_mb=0, more=("--no-cache-prompt",))
TUNED = [peer_settings.Peer(8), peer_settings.Peer(16), peer_settings.Peer(4),
         peer_settings.Peer(16, unified=True), peer_settings.Peer(8, cache_mb=4096)]


@dataclasses.dataclass
class Work:
    """A pipeline with everything that a side needs for it."""
    pipeline: str
    rows: rows.Rows
    folder: str
    file: pathlib.Path
    sample: pathlib.Path
    sluice: str
    python: str
    model: str
    environment: dict
    corpus_arguments: tuple = ()

    @property
    def columns(self):
        return list(self.rows.rows[0])


def say(text):
    print(f"bench-batch: {text}", file=sys.stderr, flush=True)


def work_of(options, pipeline, model, folder):
    """The pipeline's rows as files; None where its data was not given."""
    size = options.size or (QUICK if options.quick else SIZES)[pipeline]
    if pipeline == "lookup":
        if not options.parallelqa:
            return None
        found = rows.lookup(options.parallelqa, size, folder)
    else:
        found = getattr(rows, pipeline)(size)
    file = found.write(folder)
    sample = pathlib.Path(folder) / f"{pipeline}-sample.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    sample.write_text("".join(lines[:QUICK_SAMPLE if options.quick else SAMPLE]), encoding="utf-8")
    own = dict(os.environ, **dict(model_files.our_environment(options.model, model)))
    corpus = ("--corpus", str(pathlib.Path(folder) / "corpus.db")) if pipeline == "lookup" else ()
    return Work(pipeline, found, folder, file, sample, options.sluice, options.python, model, own,
                corpus)


def peer_server(options, model, peer):
    return servers.Setup("llama-server", f"llama-server {peer.name}",
                         f"{options.llama}/bin/llama-server", model,
                         peer.arguments(peer_settings.POOL_TOKENS, options.threads))


async def with_server(setup, logs, job):
    """The job's result with a fresh server that has answered once."""
    server = servers.Server(setup, logs)
    try:
        await server.ready()
        client = http_client.Client(server.port,
                                    {"model": await http_client.model_name(server.port)})
        warm = await client.chat([questions.user("Say hello.")], 4, "warm", stream=False)
        if warm.error:
            raise SystemExit(f"{setup.name} does not answer: {warm.error}\n{server.tail()}")
        return await job(server)
    finally:
        server.stop()


def peer_job(options, work, side):
    async def job(server):
        out = pathlib.Path(work.folder) / f"{work.pipeline}-{side}.json"
        process = await asyncio.create_subprocess_exec(
            work.python, str(same_prompts.PEER), side, work.pipeline, "--port", str(server.port),
            "--rows", str(work.file), "--out", str(out), "--in-flight", str(options.in_flight),
            *work.corpus_arguments)
        if await process.wait() != 0:
            raise SystemExit(f"{side} on {work.pipeline} ended with {process.returncode}\n"
                             f"{server.tail()}")
        numbers = json.loads(out.read_text())
        numbers["server_cpu_s"] = server.processor_seconds()  # its start included
        numbers["server_peak_mb"] = server.resident_mb()[0]
        numbers["peak_mb"] = numbers["server_peak_mb"] + numbers["client_peak_mb"]
        return numbers
    return job


def our_run(options, work, side):
    steps = questions.PIPELINES[work.pipeline]
    more = ("--workers", str(options.threads)) + (("--no-optimize",) if side == "written" else ())
    more += tuple(options.ours.split())
    if options.batch:
        command = ours.batch_command(work.sluice, work.pipeline, work.file, work.folder, work.model,
                                     more)
        return ours.batch_rows(command, work.environment, steps)
    command = ours.run_command(work.sluice, work.pipeline, work.file, work.columns, work.folder,
                               work.model, more)
    return ours.run_rows(command, work.environment, steps)


def run_once(options, work, side, logs, peer=PEER):
    """One side of a pipeline from its start to its end."""
    everybody, own, start = servers.busy_seconds(), time.process_time(), time.perf_counter()
    if side in PEERS:
        numbers = asyncio.run(with_server(peer_server(options, work.model, peer), logs,
                                          peer_job(options, work, side)))
        children = numbers["server_cpu_s"] + numbers["client_cpu_s"]
    else:
        numbers = our_run(options, work, side)
        children = numbers["server_cpu_s"]
    whole = time.perf_counter() - start
    others = servers.busy_seconds() - everybody - children - (time.process_time() - own)
    numbers["others_cores"] = max(0.0, others) / whole
    return numbers


def name_of(options, side):
    if side in PEERS:
        return PEERS[side]
    how = "sluice batch" if options.batch else "sluice run"
    return how if side == "sluice" else f"{how}, as written"


def measure(options, work, logs):
    """One pipeline: the check of its prompts, then all sides in turns."""
    line = {"pipeline": work.pipeline, "rows": work.rows.facts, "model": work.model,
            "names": {side: name_of(options, side) for side in options.sides}, "agreement": {},
            "runs": {side: [] for side in options.sides}}
    if not options.no_check:
        say(f"{work.pipeline}: are the prompts of both sides the same?")
        line["same_prompts"] = asyncio.run(with_server(
            peer_server(options, work.model, CHECKED), logs,
            lambda server: same_prompts.check(work, server.port, work.folder)))
    history = History(work.environment["SLUICE_CACHE"], work.folder)
    history.forget()
    if "sluice" in options.sides:
        line["estimate"] = estimate.of_rows(options, work)
    history.keep()
    for number in range(options.rounds):
        turn = number % len(options.sides)
        for side in options.sides[turn:] + options.sides[:turn]:
            if side in options.once and line["runs"][side]:
                continue
            say(f"{work.pipeline}, round {number + 1} of {options.rounds}: {line['names'][side]}")
            line["runs"][side].append(quiet_run(options, work, side, logs, history))
    compare(line)
    return line


def quiet_run(options, work, side, logs, history):
    """A run beside which nothing else used the cores, if there is one among so many."""
    for _ in range(1 if options.quick else TRIES):
        history.restore()
        numbers = run_once(options, work, side, logs)
        report.print_run(work.pipeline, side, numbers)
        if numbers["others_cores"] < SHARED_CORES:
            break
        say("something else used the cores meanwhile")
    return numbers


def compare(line):
    """How far the results of sides agree: a peer with itself in another round and with another peer on
    the same server (what batches that fall otherwise do to greedy answers), and ours with the peers."""
    results = {side: [numbers.pop("results") for numbers in runs]
               for side, runs in line["runs"].items() if runs}

    def pair(words, one, other):
        line["agreement"][words] = report.agreement(one, other)
    if len(results.get("async", [])) > 1:
        pair("async with itself", results["async"][0], results["async"][-1])
    for one, other in [("async", "langgraph"), ("async", "expert"), ("async", "sluice"),
                       ("expert", "sluice"), ("written", "sluice")]:
        if one in results and other in results:
            pair(f"{one} and {other}", results[one][-1], results[other][-1])
    line["results"] = {side: found[-1] for side, found in results.items()}


def tune(options, work, logs):
    """llama-server alone with each setting, under the async client and the expert."""
    found = []
    peers = [peer_settings.peer_from(word) for word in options.trying.split(",") if word]
    for peer in peers or TUNED:
        for side in ("async", "expert"):
            numbers = run_once(options, work, side, logs, peer)
            del numbers["results"]
            report.print_run(work.pipeline, f"{side} on llama-server {peer.name}", numbers)
            found.append({"pipeline": work.pipeline, "setting": peer.name, "side": side, **numbers})
    return found


def planning(options):
    """What bench/planning measures, as its JSON."""
    if not options.planning:
        return None
    done = subprocess.run([options.planning], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"{options.planning} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sluice", required=True)
    parser.add_argument("--llama", required=True, help="the folder of third_party.py's llama_server")
    parser.add_argument("--model", required=True)
    parser.add_argument("--python", required=True, help="the interpreter with LangGraph (bench_python)")
    parser.add_argument("--planning", help="the program of bench/planning")
    parser.add_argument("--pipelines", default=",".join(PIPELINES))
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--format", default="q8_0", choices=["q8_0", "same"],
                        help="the model in this format for both sides; same: as it is shipped")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--once", default=ONCE, help="these sides have one round only")
    parser.add_argument("--quick", action="store_true", help="few rows, one round")
    parser.add_argument("--size", type=int, help="so many rows of each pipeline")
    parser.add_argument("--parallelqa", help="datasets/parallelqa_dataset.json of LLMCompiler")
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--ours", default="", help="more arguments of our command, to try them")
    parser.add_argument("--rows-by-run", action="store_true",
                        help="`sluice run` with a for_each over the rows in place of `sluice batch`")
    parser.add_argument("--no-check", action="store_true", help="do not compare the prompts first")
    parser.add_argument("--no-calibration", action="store_true",
                        help="neither measure our costs nor prepare our weights first")
    parser.add_argument("--tune", action="store_true", help="llama-server alone with other settings")
    parser.add_argument("--try", dest="trying", default="",
                        help="with --tune: these settings, such as 8,8u,16b512")
    parser.add_argument("--json")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.pipelines, options.sides = options.pipelines.split(","), options.sides.split(",")
    options.once = options.once.split(",") if options.once else []
    for given, known in ((options.pipelines, PIPELINES), (options.sides, SIDES), (options.once, SIDES)):
        if unknown := set(given) - set(known):
            parser.error(f"no {', '.join(sorted(unknown))} among {', '.join(known)}")
    options.batch = not options.rows_by_run and ours.has_batch(options.sluice)
    return options


def main():
    options = read_options()
    model = model_files.converted(options.model, options.llama, options.threads, options.format, say)
    result = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
              "threads": options.threads, "rounds": options.rounds, "quick": options.quick,
              "in_flight": options.in_flight, "peer": PEER.name, "model": pathlib.Path(model).name,
              "pool tokens": peer_settings.POOL_TOKENS, "host MB": peer_settings.HOST_MB,
              "ours": "sluice batch" if options.batch else "sluice run", "lines": [], "tuned": []}
    if {"sluice", "written"} & set(options.sides) and not options.no_calibration:
        for words in model_files.get_ready(options.sluice, options.model, model, say):
            print(f"  {words}")
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder:
        for pipeline in options.pipelines:
            work = work_of(options, pipeline, model, folder)
            if work is None:
                say("lookup: left out, it needs --parallelqa FILE (LLMCompiler's questions)")
                continue
            if options.tune:
                result["tuned"] += tune(options, work, folder)
            else:
                result["lines"].append(measure(options, work, folder))
            if options.json:  # a run of hours may be broken off
                pathlib.Path(options.json).write_text(report.as_json(result))
    result["planning"] = None if options.tune else planning(options)
    if not options.tune:
        report.print_table(result["lines"])
        if result["planning"]:
            report.print_planning(result["planning"])
        if "lookup" in options.pipelines and not options.parallelqa:
            print("lookup     left out: it needs --parallelqa FILE (LLMCompiler's questions)")
    if options.json:
        pathlib.Path(options.json).write_text(report.as_json(result))


if __name__ == "__main__":
    main()
