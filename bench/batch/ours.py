"""Our side: `sluice batch` with a plan of bench/batch/plans, or the same plan under a for_each with
`sluice run`, as a process that is measured from its start to its end, the loading of the model included."""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import answers

# Nothing is answered by what an earlier run has kept.
ASKED_ANEW = ("--without", "reuse_results")
PLANS = pathlib.Path(__file__).resolve().parent / "plans"


def plan_of(pipeline):
    return PLANS / f"{pipeline}.yaml"


def has_batch(sluice):
    """Does this program know `batch`?"""
    done = subprocess.run([sluice, "batch", "--help"], capture_output=True, text=True)
    return done.returncode == 0


def wrapper(pipeline, columns, folder, concurrency=64):
    """The plan of a row under a for_each, as a file."""
    path = pathlib.Path(folder) / f"{pipeline}-rows.json"
    path.write_text(json.dumps({
        "sluice": 1, "concurrency": concurrency, "params": {"rows": {"type": "array"}},
        "plans": {"row": {"file": str(plan_of(pipeline))}},
        "steps": {"answer": {"for_each": "{{ params.rows }}", "plan": "row", "on_error": "skip",
                             "with": {name: "{{ item.%s }}" % name for name in columns}}},
        "result": "{{ steps.answer.output }}"}, indent=1))
    return path


def run_command(sluice, pipeline, rows_file, columns, folder, model, more=(), concurrency=64):
    return [sluice, "run", str(wrapper(pipeline, columns, folder, concurrency)),
            "--input", str(rows_file), "--dir", str(folder), "--model", model, "--json",
            *ASKED_ANEW, *journal(folder, more), *more]


def journal(folder, more):
    """Runs are recorded as a user's are, in a file of the bench's own."""
    return () if "--no-journal" in more else ("--journal", str(pathlib.Path(folder) / "journal.db"))


def batch_command(sluice, pipeline, rows_file, folder, model, more=()):
    out = pathlib.Path(folder) / f"{pipeline}-out.jsonl"
    return [sluice, "batch", str(plan_of(pipeline)), "--input", str(rows_file),
            "--output", str(out), "--keep-null", "--force", "--dir", str(folder), "--model", model,
            "--json", *ASKED_ANEW, *journal(folder, more), *more]


class Ended:
    """A process that ran to its end: what it printed and what it used."""

    def __init__(self, command, environment):
        self.lines = []
        with tempfile.TemporaryFile("w+") as errors:
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True,
                                       stdin=subprocess.DEVNULL,
                                       env=dict(os.environ, **dict(environment)))
            for line in process.stdout:
                if line.startswith("{"):
                    self.lines.append(json.loads(line))
            _, status, used = os.wait4(process.pid, 0)
            self.seconds = time.perf_counter() - start
            self.code = process.returncode = os.waitstatus_to_exitcode(status)
            errors.seek(0)
            self.errors = errors.read()
        self.cpu_s, self.peak_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024

    def of(self, event):
        return [line for line in self.lines if line.get("event") == event]


def calls_of(ended, steps):
    """The calls of these steps that were really made: call_ended events without `cached`."""
    return [line for line in ended.of("call_ended")
            if line.get("step") in steps and not line.get("cached")]


def measures(ended, steps, results):
    calls = calls_of(ended, steps)
    usage = [line.get("usage", {}) for line in calls]
    failures = ended.of("task_failed")
    last = ended.of("result")
    numbers = {
        "wall_s": ended.seconds, "results": results, "exit_code": ended.code,
        "failed_rows": sum(1 for line in failures if line.get("step") == "answer"),
        "first_failures": [line.get("error") for line in failures][:3],
        "calls": len(calls), "failed_calls": sum(1 for line in calls if "error" in line),
        "calls_by_question": dict(collections.Counter(line["step"] for line in calls)),
        "taken_over": len([line for line in ended.of("call_ended") if line.get("cached")]),
        "server_cpu_s": ended.cpu_s, "peak_mb": ended.peak_mb}
    for name, key in (("prompt_tokens", "prompt_tokens"), ("cached_tokens", "cached_tokens"),
                      ("output_tokens", "completion_tokens")):
        numbers[name] = sum(one.get(key, 0) for one in usage)
    if last:
        numbers["run_s"] = last[-1].get("took_ms", 0) / 1000
        if "planning_ms" in last[-1]:  # the run's own words on planning, replanning included
            numbers["planning_ms"] = last[-1]["planning_ms"]
    return numbers


def answered(ended, command, environment, steps, rows):
    """{"answers"} of a run that was recorded, or {"answers_why"}: told after the clock has stopped."""
    run = [line["run"] for line in ended.lines if line.get("event") == "run" and line.get("recorded")]
    if not run:
        return {"answers_why": "the run was not recorded"}
    journal_ = command[command.index("--journal") + 1]
    try:
        records = answers.exported(command[0], journal_, run[-1], environment)
        return {"answers": answers.of_run(ended.lines, records, rows, steps)}
    except ValueError as error:
        return {"answers_why": str(error)}


def checked(ended, command):
    if ended.code != 0:
        print(ended.errors[-3000:], file=sys.stderr)
        raise SystemExit(f"{' '.join(command)}\nended with {ended.code}")
    return ended


def run_rows(command, environment, steps):
    """`sluice run` over the rows; the measures with the rows' results."""
    ended = checked(Ended(command, environment), command)
    results = ended.of("result")[-1]["result"]
    return {**measures(ended, steps, results),
            **answered(ended, command, environment, steps, len(results))}


def batch_rows(command, environment, steps):
    """`sluice batch` over the rows."""
    ended = checked(Ended(command, environment), command)
    out = pathlib.Path(command[command.index("--output") + 1])
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    numbers = measures(ended, steps, [result_of(line) for line in lines])
    failed = [line["error"] for line in lines if set(line) == {"error"}]
    return {**numbers, "failed_rows": len(failed), "first_failures": failed[:3],
            **answered(ended, command, environment, steps, len(lines))}


def result_of(line):
    """A row's result from its line of the output: null stands in a column `result`, and a row that
    failed has nothing but `error`."""
    return None if set(line) in ({"result"}, {"error"}) else line
