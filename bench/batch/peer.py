#!/usr/bin/env python3
"""One side of a pipeline on a server that runs already, as a process of its own.

    peer.py SIDE PIPELINE --port N --rows FILE --out FILE [--corpus FILE] [--in-flight 16]

SIDE is async, langgraph, expert or staged. Writes what it got and what it used as JSON.
"""

import argparse
import asyncio
import importlib
import json
import pathlib
import resource
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent / "llama_peer"))
import answers
from asking import IN_FLIGHT, TIGHT, Asker
from corpus import Corpus


async def work(options, pipeline):
    """(asker, results, failed, seconds); what one does once (imports, reading rows) is outside the
    clock."""
    rows = [json.loads(line) for line in
            pathlib.Path(options.rows).read_text(encoding="utf-8").splitlines()]
    corpus = Corpus(options.corpus) if options.corpus else None
    asker = await Asker(options.port, options.in_flight, options.side in TIGHT).open()
    start = time.perf_counter()
    results, failed = await pipeline(asker, rows, corpus)
    return asker, results, failed, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=["async", "langgraph", "expert", "staged"])
    parser.add_argument("pipeline", choices=["triage", "documents", "lookup"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--corpus")
    parser.add_argument("--in-flight", type=int, default=IN_FLIGHT)
    options = parser.parse_args()
    pipeline = getattr(importlib.import_module(f"{options.side}_peer"), options.pipeline)
    asker, results, failed, seconds = asyncio.run(work(options, pipeline))
    used = resource.getrusage(resource.RUSAGE_SELF)
    pathlib.Path(options.out).write_text(json.dumps({
        "wall_s": seconds, "results": results, "failed_rows": len(failed),
        "first_failures": failed[:3], **asker.account(), "answers": answers.of_asked(asker.asked),
        "choices": answers.choices((name, text) for name, _, text in asker.asked),
        "client_cpu_s": used.ru_utime + used.ru_stime, "client_peak_mb": used.ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
