"""Before anything is timed: do both sides ask the same? Some rows go through our plan as it is written
and through the async client, both to llama-server behind a recorder, and what they sent must be equal:
messages, limits, temperature, schemas. Then the same rows run on our own engine, and the prompts of each
row must have as many tokens there as llama-server counts."""

import asyncio
import collections
import json
import pathlib
import sys

import http_client
import ours
import questions
from recorder import Recorder

PEER = pathlib.Path(__file__).resolve().parent / "peer.py"
# Of the prompts that follow from the row alone; those of look-ups' later questions hold answers.
FIXED = {"triage": questions.PIPELINES["triage"], "documents": questions.PIPELINES["documents"],
         "lookup": ["names"]}


def canonical(request):
    """What of a request decides its answer, as text."""
    schema = (request.get("response_format") or {}).get("json_schema", {}).get("schema")
    return json.dumps({
        "messages": [[message["role"], message["content"]] for message in request["messages"]],
        "max_tokens": request.get("max_tokens"), "temperature": float(request["temperature"]),
        "schema": schema, "order": list((schema or {}).get("properties", {}))},
        sort_keys=True, ensure_ascii=False)


async def run(command, environment=None):
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment, limit=1 << 26)
    out, errors = await process.communicate()
    if process.returncode != 0:
        sys.stderr.write(errors.decode(errors="replace")[-3000:])
        raise SystemExit(f"{' '.join(command)}\nended with {process.returncode}")
    return out.decode()


async def sent_by_both(setup, server_port, folder):
    """(ours, theirs): everything that was asked, one request at a time on both sides."""
    recorder = await Recorder(server_port).open()
    name = await http_client.model_name(server_port)
    columns = list(json.loads(setup.sample.read_text().splitlines()[0]))
    await run(ours.run_command(setup.sluice, setup.pipeline, setup.sample, columns, folder,
                               f"http://127.0.0.1:{recorder.port}/v1#{name}",
                               ("--no-optimize", "--no-journal"), concurrency=1))
    mine = recorder.take()
    await run([setup.python, str(PEER), "async", setup.pipeline, "--port", str(recorder.port),
               "--rows", str(setup.sample), "--out", str(pathlib.Path(folder) / "same.json"),
               "--in-flight", "1", *setup.corpus_arguments])
    theirs = recorder.take()
    await recorder.close()
    return mine, theirs


def compare_requests(pipeline, mine, theirs):
    """Ends the bench where the sides ask different things."""
    ours_, theirs_ = (collections.Counter(map(canonical, requests)) for requests in (mine, theirs))
    only_ours, only_theirs = list((ours_ - theirs_).elements()), list((theirs_ - ours_).elements())
    if only_ours or only_theirs or not mine:
        raise SystemExit(f"{pipeline}: the sides do not ask the same. Only ours: {only_ours[:1]}\n"
                         f"Only theirs: {only_theirs[:1]}")
    return {"requests": len(mine), "equal": sum((ours_ & theirs_).values())}


async def tokens_there(port, rows, pipeline):
    """[sorted (question, prompt tokens)] of each row, as llama-server counts them."""
    client = http_client.Client(port, {"model": await http_client.model_name(port)})
    out = []
    for row in rows:
        counted = []
        for name in FIXED[pipeline]:
            question = questions.QUESTIONS[name]
            answer = await client.chat(question.messages(row), 1, name, stream=False)
            if answer.error:
                raise SystemExit(f"{pipeline}, {name}: {answer.error}")
            counted.append((name, answer.prompt_tokens))
        out.append(tuple(sorted(counted)))
    return out


def tokens_here(lines, pipeline):
    """The same from the trace of our run: the calls of one frame belong to one row."""
    rows = {}
    for line in lines:
        if line.get("event") == "call_ended" and line.get("step") in FIXED[pipeline]:
            rows.setdefault(line.get("frame"), []).append(
                (line["step"], line.get("usage", {}).get("prompt_tokens", 0)))
    return [tuple(sorted(counted)) for counted in rows.values()]


async def check(setup, server_port, folder):
    """`setup`: pipeline, sluice, python, model, environment, sample (a file of rows),
    corpus_arguments. Gives what was compared; ends the bench where something differs."""
    mine, theirs = await sent_by_both(setup, server_port, folder)
    facts = compare_requests(setup.pipeline, mine, theirs)
    rows = [json.loads(line) for line in setup.sample.read_text().splitlines()]
    there = await tokens_there(server_port, rows, setup.pipeline)
    out = await run(ours.run_command(setup.sluice, setup.pipeline, setup.sample, list(rows[0]),
                                     folder, setup.model, ("--no-optimize", "--no-journal")),
                    setup.environment)
    here = tokens_here([json.loads(line) for line in out.splitlines() if line.startswith("{")],
                       setup.pipeline)
    if collections.Counter(here) != collections.Counter(there):
        raise SystemExit(f"{setup.pipeline}: prompts have other numbers of tokens on our side. "
                         f"Ours: {sorted(here)[:2]}\nTheirs: {sorted(there)[:2]}")
    return {**facts, "rows": len(rows), "prompt_tokens": sum(n for row in there for _, n in row)}
