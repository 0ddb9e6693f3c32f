"""The two sides of a comparison: how each is started, what it measures before its first run, and what
says later which build of it ran."""

import hashlib
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import bound
import model_files
import servers
import settings

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Work beside which something else used so much of a core is done again, so many times at most.
SHARED_CORES, TRIES = 0.15, 3


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
    return servers.Setup("sluice", settings.name_of(kind), options.sluice, model,
                         settings.ours(kind, pool, options.threads) + tuple(options.ours.split()),
                         our_environment(options, model, kind), hints=kind == "hints")


def our_environment(options, model, kind="plain"):
    return (model_files.our_environment(options.model, model) +
            (("SLUICE_ATTENTION", "ggml"),) * (kind == "ggml"))


def told(setup):
    """A side's settings, for the report."""
    return {"name": setup.name, "arguments": setup.arguments, "environment": dict(setup.environment)}


def get_ready(options, name):
    """What a user's second start finds, on the machine as quiet as the runs have it: weights prepared,
    costs measured. Gives these costs as the bound's rates; {} where nothing was measured."""
    if options.no_calibration:
        return {}
    model = converted(options, name)
    if model == options.model:
        say("sluice models prepare")
        print(f"  {name} · {ask_sluice(options, model, 'prepare').strip()}", flush=True)
    return {"our": bound.from_calibration(calibrated(options, name, model))}


def calibrated(options, name, model):
    """The costs as `sluice models calibrate` measures them, from its quietest try."""
    tries = []
    while not tries or (tries[-1][0] >= SHARED_CORES and len(tries) < TRIES):
        say(f"sluice models calibrate, {name}")
        begin, everybody, own = time.perf_counter(), servers.busy_seconds(), processor_seconds()
        cost = json.loads(ask_sluice(options, model, "calibrate", "--json", "--workers",
                                     str(options.threads)))
        others = servers.busy_seconds() - everybody - (processor_seconds() - own)
        tries.append((max(0.0, others) / (time.perf_counter() - begin), cost))
        if tries[-1][0] >= SHARED_CORES:
            say(f"something else used {tries[-1][0]:.2f} cores meanwhile")
    others, cost = min(tries, key=lambda one: one[0])
    keep_cost(tries, cost)
    print(f"  {name} · calibrated {cost['model']} (others' cores {others:.2f})", flush=True)
    return cost


def keep_cost(tries, cost):
    """The server reads the costs from the cache, where the last try's are."""
    if tries[-1][1] is not cost:
        pathlib.Path(cost["kept"]).write_text(json.dumps(cost["cost"]))


def ask_sluice(options, model, *words):
    done = model_files.ask(options.sluice, options.model, model, *words)
    if done.returncode != 0:
        raise SystemExit(f"sluice models {words[0]} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout or done.stderr


def processor_seconds():
    """Of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def first_line(*command, start=""):
    """The first line that a command says which begins so; "" where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError as error:
        return f"unknown: {error}"
    lines = (done.stdout + done.stderr).splitlines() if done.returncode == 0 else []
    return next((line.strip() for line in lines if line.startswith(start)), "")


def hash_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def about(options):
    """What a reader of the numbers must know of the builds and the machine."""
    return {"when": time.strftime("%Y-%m-%d %H:%M:%S %z"), "command": sys.argv[1:],
            "commit": first_line("git", "rev-parse", "HEAD") or "unknown",
            "dirty": bool(first_line("git", "status", "--porcelain")),
            "sluice": {"version": first_line(options.sluice, "--version"),
                       "sha256": hash_of(options.sluice)},
            "llama-server": {"version": first_line(f"{options.llama}/bin/llama-server", "--version",
                                                    start="version"),
                             "build": pathlib.Path(options.llama).name},
            "model": {"file": pathlib.Path(options.model).name, "sha256": hash_of(options.model)},
            "machine": processor(), "cores": os.cpu_count(), "threads": options.threads,
            "rounds": options.rounds, "quick": options.quick, "host MB": settings.HOST_MB,
            "pool tokens": settings.POOL_TOKENS}
