"""What the end-to-end tests share: the real binary, the real model, real servers."""

import atexit
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Results, statistics and calibrations of tests are not those of the person who tests.
CACHE = tempfile.mkdtemp(prefix="sluice-test-cache-")
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
BINARY = os.environ.get("SLUICE_BIN", str(ROOT / "build/release/bin/sluice"))


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    env.pop("GTEST_OUTPUT", None)
    if "SLUICE_TEST_MODEL" in os.environ:
        env["SLUICE_MODEL"] = os.environ["SLUICE_TEST_MODEL"]
    env["SLUICE_WEIGHTS"] = "as-is"  # whatever the person who tests has prepared
    env["SLUICE_CACHE"] = CACHE
    env.update(more)
    return env


def forget_results():
    """What earlier runs have kept of models' answers."""
    for path in pathlib.Path(CACHE).glob("results.sqlite*"):
        path.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def no_earlier_results():
    """No test is answered by what another has asked."""
    forget_results()


def run_id_in(text):
    """The id that `sluice run` tells on standard error."""
    found = re.search(r"^run (\S+)", text, re.MULTILINE)
    assert found, f"no run id in: {text}"
    return found[1]


def wait_until(holds, seconds=20, what="it"):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


class Sluice:
    """Starts the binary in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    def words(self, *arguments):
        return [BINARY, *map(str, arguments)]

    def variables(self, more=None):
        """Runs are journaled in the test's folder, never in that of the person who tests."""
        return environment(**{"SLUICE_JOURNAL": str(self.folder / "journal.db"), **(more or {})})

    def __call__(self, *arguments, timeout=180, env=None, stdin=None):
        return subprocess.run(self.words(*arguments), cwd=self.folder, text=True,
                              capture_output=True, timeout=timeout, input=stdin,
                              env=self.variables(env))

    def start(self, *arguments, env=None, **options):
        return subprocess.Popen(self.words(*arguments), cwd=self.folder,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.variables(env), **options)

    def ledger(self):
        """What tools of kill_shapes.py did, in order: (deed, argument)."""
        file = self.folder / "ledger"
        entries = map(json.loads, file.read_text().splitlines()) if file.exists() else []
        return [(e["deed"], e["gave"]["of"]) for e in entries if "gave" in e]

    def runs(self, *arguments):
        done = self("runs", "--json", *arguments)
        if "there is no journal" in done.stderr:
            return []
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def shown(self, run_id):
        done = self("runs", "show", run_id, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def run_plan(self, text, *arguments, **options):
        return self("run", self.write("plan.yaml", text), *arguments, **options)


@pytest.fixture
def sluice(tmp_path):
    assert os.access(BINARY, os.X_OK), f"no binary at {BINARY}: run make first"
    return Sluice(tmp_path)


@pytest.fixture
def example(tmp_path):
    """A copy of an example, so that the checkout stays clean."""

    def copy(name):
        shutil.copytree(ROOT / "examples" / name, tmp_path / name)
        return tmp_path / name

    return copy


@pytest.fixture
def mcp_servers():
    folder = os.environ.get("SLUICE_MCP_SERVERS")
    assert folder, "SLUICE_MCP_SERVERS names no folder: run the tests with make test"
    return pathlib.Path(folder) / "@modelcontextprotocol"


class Endpoint:
    """A small OpenAI-compatible server. `script` holds what to answer: a status with a body, or a
    function of the request; the last one stays."""

    def __init__(self):
        self.requests = []
        self.script = []
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append((self.path, dict(self.headers), body))
                step = endpoint.script.pop(0) if len(endpoint.script) > 1 else endpoint.script[0]
                status, headers, reply = step(body)
                data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            # With the usual 5 the kernel drops connections that come at once, and they try again
            # seconds later.
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def says(text, tool_calls=None):
        def step(body):
            message = {"role": "assistant", "content": text}
            finish = "stop"
            if tool_calls:
                message = {"role": "assistant", "content": None, "tool_calls": tool_calls}
                finish = "tool_calls"
            usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
            if not body.get("stream"):
                return 200, {"Content-Type": "application/json"}, {
                    "id": "x", "object": "chat.completion", "model": body.get("model", ""),
                    "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                    "usage": usage}
            if tool_calls:
                message = dict(message, tool_calls=[dict(call, index=i)
                                                    for i, call in enumerate(tool_calls)])
            chunks = [{"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
                      {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
                      {"choices": [], "usage": usage}]
            stream = "".join(f"data: {json.dumps(dict(chunk, id='x'))}\n\n" for chunk in chunks)
            return 200, {"Content-Type": "text/event-stream"}, (stream + "data: [DONE]\n\n").encode()

        return step

    @staticmethod
    def fails(status, message, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return lambda body: (status, dict(named, **{"Content-Type": "application/json"}),
                             {"error": {"message": message, "type": "error"}})


@pytest.fixture
def endpoint():
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()
