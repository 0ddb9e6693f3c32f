#!/usr/bin/env python3
"""Three pipelines over real rows: Sluice beside three programs on llama-server, in turns. See README.md.

    batch.py --sluice BIN --llama FOLDER --model GGUF --python PYTHON [--planning BIN]
             [--pipelines triage,documents,lookup] [--sides async,langgraph,expert,staged,sluice,written,first]
             [--format q8_0|same] [--rounds 3] [--once async,langgraph] [--quick] [--parallelqa FILE]
             [--json FILE [--resume]] [--tune]
"""

import argparse
import asyncio
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent / "llama_peer"))
import answers
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
import ties
from asking import TIGHT
from corpus import Corpus
from history import History
from kept import Kept, about, identity

PIPELINES = list(questions.PIPELINES)
PEERS = {"async": "async client", "langgraph": "LangGraph", "expert": "expert",
         "staged": "expert, in stages"}
OURS = ["sluice", "written", "first"]
SIDES = [*PEERS, *OURS]
# One round is enough to see which form of the expert's program is faster, what the optimizer adds, and
# what is known at a first use.
ONCE = "staged,written,first"
NO_STAGES = ("documents",)  # one question about all of them is what the async client does
# A run beside which something else used so much of a core is taken again, so many times at most.
SHARED_CORES, TRIES = 0.15, 3
SIZES = {"triage": 600, "documents": 150, "lookup": 0}
QUICK = {"triage": 32, "documents": 12, "lookup": 8}
SAMPLE, QUICK_SAMPLE = 8, 2  # rows whose prompts are compared first
# llama-server's settings for each pipeline; `--tune` tries others.
SETTINGS = {"triage": peer_settings.Peer(8), "documents": peer_settings.Peer(8),
            "lookup": peer_settings.Peer(8)}
# Answers the same to the same words, whatever was asked before: nothing is taken from earlier prompts.
CHECKED = peer_settings.Peer(1, cache_mb=0, more=("--no-cache-prompt",))
TUNED = "8,16,4,8u,16u,8c0,16c0,8c4096,16c4096"
TUNED_SIDES = ["async", "expert"]
COMPARED = {"expert against ours": "expert", "async against ours": "async"}


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


def sides_of(options, pipeline):
    return [side for side in options.sides if side != "staged" or pipeline not in NO_STAGES]


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


def run_once(options, work, side, logs, peer):
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
    how = "sluice batch" if options.batch else "sluice run"
    return {**PEERS, "sluice": how, "written": f"{how}, as written",
            "first": f"{how}, first use"}[side]


def turns(options, line, sides):
    """[(round, side)] of the runs that are not there yet, the sides in turns."""
    left = []
    for number in range(options.rounds):
        turn = number % len(sides)
        for side in sides[turn:] + sides[:turn]:
            if len(line["runs"][side]) <= number and not (side in options.once and number > 0):
                left.append((number, side))
    return left


def measure(options, work, logs, kept):
    """One pipeline: the check of its prompts, then all sides in turns."""
    sides, peer = sides_of(options, work.pipeline), SETTINGS[work.pipeline]
    line = kept.line({"pipeline": work.pipeline, "rows": work.rows.facts, "peer": peer.name,
                      "names": {side: name_of(options, side) for side in sides}, "runs": {},
                      "first_results": {}, "results": {}, "answers": {}, "agreement": {}})
    for side in sides:
        line["runs"].setdefault(side, [])
    if not options.no_check and "same_prompts" not in line:
        say(f"{work.pipeline}: are the prompts of both sides the same?")
        line["same_prompts"] = asyncio.run(with_server(
            peer_server(options, work.model, CHECKED), logs,
            lambda server: same_prompts.check(work, server.port, work.folder)))
    left = turns(options, line, sides)
    history = History(work.environment["SLUICE_CACHE"], work.folder)
    history.forget()
    if {"sluice", "first"} & {side for _, side in left}:
        learn(options, work, line)
    history.keep()
    for number, side in left:
        say(f"{work.pipeline}, round {number + 1} of {options.rounds}: {line['names'][side]}")
        take(line, side, quiet_run(options, work, side, logs, peer, history))
        kept.write()
    compare(line)
    if not options.no_ties and (left or "ties" not in line):
        look_into_differences(options, work, line, logs)
    kept.write()


def learn(options, work, line):
    """What explain says before anything of the pipeline was run, then a sample of its rows. A bench that
    goes on learns anew (what was learned is not kept), and keeps what was told at first."""
    if options.batch:
        line.setdefault("first_estimate", estimate.explained(work))
    found = estimate.of_rows(options, work)
    if "seconds" not in line.get("estimate", {}):
        line["estimate"] = found


def quiet_run(options, work, side, logs, peer, history=None):
    """A run beside which nothing else used the cores, if there is one among so many; else the one that
    was disturbed least."""
    tried = []
    for _ in range(1 if options.quick else TRIES):
        if history and side == "first":
            history.forget()
        elif history:
            history.restore()
        numbers = run_once(options, work, side, logs, peer)
        report.print_run(work.pipeline, side if history else f"{side} on llama-server {peer.name}",
                         numbers)
        tried.append(numbers)
        if numbers["others_cores"] < SHARED_CORES:
            break
        say("something else used the cores meanwhile")
    return {**min(tried, key=lambda one: one["others_cores"]), "tries": len(tried)}


def take(line, side, numbers):
    """Puts a run into the line; of results and answers the first and the last ones are kept."""
    results = numbers.pop("results")
    line["first_results"].setdefault(side, results)
    line["results"][side] = results
    line["answers"][side] = numbers.pop("answers", None)
    if side == "async":
        line.setdefault("choices", {})[side] = numbers.pop("choices")
    numbers.pop("choices", None)
    line["runs"][side].append(numbers)


def compare(line):
    """How far the results of sides agree: a peer with itself in another round and with another peer on
    the same server (what batches that fall otherwise do to greedy answers), and ours with the peers."""
    results = line["results"]

    def pair(words, one, other):
        line["agreement"][words] = report.agreement(one, other)
    if len(line["runs"].get("async", [])) > 1:
        pair("async with itself", line["first_results"]["async"], results["async"])
    for one, other in [("async", "langgraph"), ("async", "expert"), ("async", "sluice"),
                       ("expert", "sluice"), ("written", "sluice")]:
        if one in results and other in results:
            pair(f"{one} and {other}", results[one], results[other])


def look_into_differences(options, work, line, logs):
    """Asks llama-server which of the differences between ours and the peers are ties."""
    line["ties"] = {}
    peers = {words: side for words, side in COMPARED.items() if line["answers"].get(side)}
    if not peers or not line["runs"].get("sluice"):
        return
    if not line["answers"].get("sluice"):
        why = line["runs"]["sluice"][-1].get("answers_why", "our answers are not there")
        line["ties"] = {words: {"why": f"not looked into: {why}"} for words in peers}
        return
    corpus = Corpus(work.corpus_arguments[-1]) if work.corpus_arguments else None
    mine = answers.with_words(line["answers"]["sluice"], work.rows.rows, corpus)

    async def job(server):
        for words, side in peers.items():
            alike, found, blanks = ties.compare(mine, line["answers"][side])
            chosen = ties.spread_over(found, options.differences)
            say(f"{work.pipeline}, {words}: {len(chosen)} of {len(found)} differences are looked into")
            looked = await ties.look_into(server.port, chosen, side in TIGHT)
            line["ties"][words] = ties.summary(alike, found, blanks, looked)
    asyncio.run(with_server(peer_server(options, work.model, CHECKED), logs, job))


def tune(options, work, logs, kept):
    """llama-server alone with each setting, under the async client and the expert."""
    found = kept.result["tuned"]
    rows_ = work.rows.facts["sha256"]
    for word in options.trying.split(","):
        peer = peer_settings.peer_from(word)
        for side in sides_of(options, work.pipeline):
            key = {"pipeline": work.pipeline, "rows": rows_, "setting": peer.name, "side": side}
            if any(key.items() <= one.items() for one in found):
                continue
            numbers = quiet_run(options, work, side, logs, peer)
            for name in ("results", "answers", "choices"):
                del numbers[name]
            found.append({**key, "shared": numbers["others_cores"] >= SHARED_CORES, **numbers})
            kept.write()


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
    parser.add_argument("--sides", help=f"of {', '.join(SIDES)}; without it all of them, with "
                        f"--tune {', '.join(TUNED_SIDES)}")
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
    parser.add_argument("--no-ties", action="store_true",
                        help="do not ask llama-server which differences are ties")
    parser.add_argument("--differences", type=int, default=ties.MOST,
                        help="so many of them are looked into, for each of two peers")
    parser.add_argument("--tune", action="store_true", help="llama-server alone with other settings")
    parser.add_argument("--try", dest="trying", default=TUNED,
                        help="with --tune: these settings, such as 8,8u,16b512 (default: %(default)s)")
    parser.add_argument("--json", help="writes everything there, after each run")
    parser.add_argument("--resume", action="store_true",
                        help="goes on from what --json has: runs of this commit, model and rows")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.pipelines = options.pipelines.split(",")
    options.sides = (options.sides.split(",") if options.sides else
                     TUNED_SIDES if options.tune else SIDES)
    options.once = options.once.split(",") if options.once else []
    for given, known in ((options.pipelines, PIPELINES),
                         (options.sides, list(PEERS) if options.tune else SIDES),
                         (options.once, SIDES)):
        if unknown := set(given) - set(known):
            parser.error(f"no {', '.join(sorted(unknown))} among {', '.join(known)}")
    if options.resume and not options.json:
        parser.error("--resume goes on from what --json FILE has")
    options.batch = not options.rows_by_run and ours.has_batch(options.sluice)
    return options


def get_ready(options, model):
    if set(OURS) & set(options.sides) and not options.no_calibration:
        for words in model_files.get_ready(options.sluice, options.model, model, say):
            print(f"  {words}")


def main():
    options = read_options()
    model = model_files.converted(options.model, options.llama, options.threads, options.format, say)
    kept = Kept(options.json, options.resume, identity(options, model), {
        **about(options), "pool tokens": peer_settings.POOL_TOKENS, "host MB": peer_settings.HOST_MB}, say)
    get_ready(options, model)
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder:
        for pipeline in options.pipelines:
            work = work_of(options, pipeline, model, folder)
            if work is None:
                say("lookup: left out, it needs --parallelqa FILE (LLMCompiler's questions)")
                continue
            (tune if options.tune else measure)(options, work, folder, kept)
    result = kept.result
    if options.tune:
        report.print_tuned(result["tuned"])
    else:
        report.print_table(result["lines"])
        result["planning"] = planning(options)
        if result["planning"]:
            report.print_planning(result["planning"])
        if "lookup" in options.pipelines and not options.parallelqa:
            print("lookup     left out: it needs --parallelqa FILE (LLMCompiler's questions)")
    kept.write()


if __name__ == "__main__":
    main()
