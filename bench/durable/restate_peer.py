"""Restate's server with its Python SDK: handlers of no-op `ctx.run` steps, the server's own defaults.

    restate_peer.py FOLDER        the server's program is $SLUICE_BENCH_RESTATE
"""

import asyncio
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid

import hypercorn.asyncio
import hypercorn.config
import restate

from peer_protocol import StepClock, serve

CLOCKS = {}  # key -> StepClock
START_S = 60
steps_service = restate.Service("steps")


def nothing():
    return 1


@steps_service.handler("go")
async def go(ctx: restate.Context, wanted: dict) -> int:
    clock = CLOCKS[wanted["key"]] = StepClock()
    for _ in range(wanted["steps"]):
        await ctx.run_typed("nothing", nothing)
        clock.step_ended()
    return wanted["steps"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as reply:
        return json.loads(reply.read() or b"null")


def start_handlers(port):
    """The SDK's handlers, over HTTP/2 in both directions, in a thread of this process."""
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = config.errorlog = None
    app = restate.app(services=[steps_service], protocol="bidi")

    async def run():
        await hypercorn.asyncio.serve(app, config, shutdown_trigger=asyncio.Event().wait)

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()


def start_server(folder, ingress, admin):
    environment = dict(os.environ, RESTATE_INGRESS__BIND_ADDRESS=f"127.0.0.1:{ingress}",
                       RESTATE_ADMIN__BIND_ADDRESS=f"127.0.0.1:{admin}",
                       RESTATE_BIND_ADDRESS=f"127.0.0.1:{free_port()}",
                       RESTATE_DISABLE_TELEMETRY="true", DO_NOT_TRACK="1")
    log = open(folder / "restate.log", "w")
    return subprocess.Popen([os.environ["SLUICE_BENCH_RESTATE"], "--base-dir", str(folder / "restate"),
                             "--log-filter", "warn"],
                            stdout=log, stderr=log, env=environment)


def register(admin, handlers, server, log):
    end = time.monotonic() + START_S
    while True:
        try:
            return post(f"http://127.0.0.1:{admin}/deployments",
                        {"uri": f"http://127.0.0.1:{handlers}"})
        except OSError as error:
            if time.monotonic() > end or server.poll() is not None:
                sys.exit(f"Restate's server did not start: {error}\n{log.read_text()[-2000:]}")
            time.sleep(0.2)


def measure_through(ingress):
    def measure(runs, steps):
        CLOCKS.clear()
        keys = [uuid.uuid4().hex for _ in range(runs)]
        threads = [threading.Thread(target=post, args=(f"http://127.0.0.1:{ingress}/steps/go",
                                                       {"key": key, "steps": steps})) for key in keys]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - start
        assert len(CLOCKS) == runs
        return seconds, CLOCKS[keys[0]].step_ms()

    return measure


def main():
    folder = pathlib.Path(sys.argv[1])
    handlers, ingress, admin = free_port(), free_port(), free_port()
    start_handlers(handlers)
    server = start_server(folder, ingress, admin)
    try:
        register(admin, handlers, server, folder / "restate.log")
        serve(measure_through(ingress))
    finally:
        server.terminate()
        server.wait(timeout=30)


if __name__ == "__main__":
    main()
