"""What `sluice serve` does when things go wrong: clients that go, floods, signals, bad bytes."""

import json
import resource
import signal
import socket
import subprocess
import threading
import time

import openai
import pytest

from conftest import environment, wait_until
from serving import Served

LONG = "Tell a story about " + "a cat and a dog and " * 150
IDLE = 10_000
OWN_FILES = 200


@pytest.fixture
def serve(tmp_path):
    made = []

    def start(*arguments):
        made.append(Served(tmp_path, *arguments))
        return made[-1]

    yield start
    for served in made:
        served.close()


def raw_chat(body, stream=False, more=""):
    text = json.dumps({"model": "default", "max_tokens": 400, "temperature": 0, "stream": stream,
                       "messages": [{"role": "user", "content": body}]})
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n"
            f"{more}\r\n{text}").encode()


def read_until(connection, text):
    """Replies come in pieces of any size."""
    seen = b""
    while text not in seen:
        piece = connection.recv(65536)
        assert piece, f"the end, and no {text} in {seen}"
        seen += piece


def nothing_is_open(server):
    return (server.metric("sluice_requests_running") + server.metric("sluice_requests_waiting")
            == 0)


def test_clients_that_go_in_each_phase(serve):
    server = serve("--max-running", 1, "--context", 2048)
    before_body = server.connect()
    before_body.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    before_body.close()
    streaming = server.connect()
    streaming.sendall(raw_chat("Count to a thousand: 1, 2, 3,", stream=True))
    read_until(streaming, b"data: ")
    queued = server.connect()  # one runs at a time
    queued.sendall(raw_chat("hi"))
    wait_until(lambda: server.metric("sluice_requests_waiting") == 1, what="waiting")
    queued.close()
    wait_until(lambda: server.metric("sluice_requests_waiting") == 0, what="the queue is empty")
    streaming.close()
    wait_until(lambda: nothing_is_open(server), what="the stream ends")
    prefill = server.connect()
    prefill.sendall(raw_chat(LONG * 2))
    wait_until(lambda: server.metric("sluice_requests_running") == 1, what="it runs")
    prefill.close()
    wait_until(lambda: nothing_is_open(server), what="the prefill ends")
    assert server.metric("sluice_clients_gone_total") == 3
    assert server.chat("hi")[0] == 200


def test_overload_is_429_and_what_was_accepted_is_done(serve):
    server = serve("--max-running", 2, "--queue", 2, "--context", 512)
    statuses = []

    def ask():
        statuses.append(server.chat("Count to twenty: 1, 2, 3,", max_tokens=40)[0])

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 429} and statuses.count(200) >= 4
    assert server.metric("sluice_turned_away_total") == statuses.count(429)
    # The official client waits as it is told and tries again.
    patient = server.client(max_retries=10)
    errors = []

    def patiently():
        try:
            patient.chat.completions.create(model="default", max_tokens=2,
                                            messages=[{"role": "user", "content": "hi"}])
        except openai.OpenAIError as error:
            errors.append(error)

    threads = [threading.Thread(target=patiently) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_keys(serve, tmp_path):
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [
        {"name": "a", "key": "sk-aaaaaaaa"},
        {"name": "b", "key": "sk-bbbbbbbb", "tokens_per_minute": 30}]}))
    server = serve("--keys", file, "--context", 512, "--log", "requests")
    with pytest.raises(openai.AuthenticationError):
        server.client(api_key="sk-wrong").models.list()
    ask = {"model": "default", "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]}
    assert server.client(api_key="sk-aaaaaaaa").chat.completions.create(**ask)
    limited = server.client(api_key="sk-bbbbbbbb")
    assert limited.chat.completions.create(**ask)  # spends more than there is
    with pytest.raises(openai.RateLimitError) as raised:
        for _ in range(3):
            limited.chat.completions.create(**ask)
    assert int(raised.value.response.headers["retry-after"]) >= 1
    assert server.ask("GET", "/health")[0] == 200
    assert "key=a " in server.said() and "sk-aaaaaaaa" not in server.said()


@pytest.mark.parametrize("body, words", [
    (b"", "empty"), (b"{", "no JSON"), (b"nonsense", "no JSON"), (b"[]", "must be an object"),
    (b'{"model": "default", "messages": [{"role": "user", "content": "\xff"}]}', "no JSON"),
    (b"[" * 50_000, "no JSON"), (b'{"model": 5}', "model"),
    (b'{"model": "default", "messages": "hi"}', "messages"),
    (b'{"model": "default", "messages": [{"role": "user", "content": "x"}], "n": "3"}', "n"),
])
def test_bodies_that_are_wrong(shared, body, words):
    status, _, answer = shared.ask("POST", "/v1/chat/completions", body)
    assert status == 400 and words in json.loads(answer)["error"]["message"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("serve"), "--context", 512, "--body-limit", 2)
    yield served
    served.close()


def test_paths_that_are_no_text(shared):
    for path in (b"/v1/\xff\xfe", b"/v1/models/\xff", b"/v1/models/x" + "é".encode() * 200):
        with shared.connect() as connection:
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 404 "), answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2].decode())["error"]["message"]
    long_name = json.dumps({"model": "x" + "é" * 200, "messages": [{"role": "user", "content": "x"}]})
    assert shared.ask("POST", "/v1/chat/completions", long_name.encode())[0] in (400, 404)
    assert shared.chat("hi")[0] == 200


def test_a_body_over_the_limit(shared):
    status, _, answer = shared.ask("POST", "/v1/chat/completions", b"x" * (3 << 20))
    assert status == 413 and json.loads(answer)["error"]["code"] == "request_too_large"
    assert shared.chat("hi")[0] == 200


def test_bytes_that_are_no_http(shared):
    for garbage in (b"\x00" * 100, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00" + b"x" * 500 + b"\r\n\r\n"):
        with shared.connect() as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert shared.chat("hi")[0] == 200


def test_ten_thousand_idle_connections(serve):
    """With fewer, where one process may not open so many: then it ends as skipped, with the number."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(IDLE, hard - OWN_FILES)
    server = serve("--context", 512)
    idle = []
    try:
        for _ in range(count):
            idle.append(server.connect())
        wait_until(lambda: server.metric("sluice_http_idle_connections") >= count, what="all idle")
        assert server.chat("hi")[0] == 200
        asleep = idle[count // 2]
        asleep.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(asleep, b'{"status":"ok"}')
        with open(f"/proc/{server.process.pid}/status") as status:
            memory = next(line for line in status if line.startswith("VmRSS"))
        print(f"{count} idle connections: {memory.strip()}")
        assert server.end() == 0  # none of them keeps it from ending
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    if count < IDLE:
        pytest.skip(f"held with {count} connections; this process may open only {hard} files")


# An answer that no sampling ends early: 200 strings.
LONG_ANSWER = {"max_tokens": 1500, "response_format": {"type": "json_schema", "json_schema": {
    "name": "long", "schema": {"type": "array", "minItems": 200, "maxItems": 200,
                               "items": {"type": "string", "minLength": 10, "maxLength": 10}}}}}


def under_load(server, requests, **more):
    """Threads that each ask once; their statuses come into the list as they end."""
    statuses = []

    def ask():
        try:
            statuses.append(server.chat("Count to fifty: 1, 2, 3,", **more)[0])
        except OSError:
            statuses.append(0)

    threads = [threading.Thread(target=ask) for _ in range(requests)]
    for thread in threads:
        thread.start()
    return threads, statuses


def test_sigterm_finishes_what_was_accepted(serve):
    server = serve("--max-running", 2, "--context", 512)
    threads, statuses = under_load(server, 8, max_tokens=30)
    wait_until(lambda: server.metric("sluice_requests_running")
               + server.metric("sluice_requests_waiting") == 8 or statuses, what="all accepted")
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8
    assert server.process.wait(20) == 0
    with pytest.raises(OSError):
        server.connect()


def test_a_second_signal_cuts_off(serve):
    server = serve("--max-running", 1, "--context", 2048)
    threads, statuses = under_load(server, 4, **LONG_ANSWER)
    wait_until(lambda: server.metric("sluice_requests_running") == 1, what="one runs")
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert server.process.poll() is None
    begun = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert time.monotonic() - begun < 10
    for thread in threads:
        thread.join()
    assert len(statuses) == 4 and set(statuses) <= {200, 503}


def test_the_time_for_draining_is_limited(serve):
    server = serve("--max-running", 1, "--context", 2048, "--drain-s", 1)
    threads, statuses = under_load(server, 3, **LONG_ANSWER)
    wait_until(lambda: server.metric("sluice_requests_running") == 1, what="one runs")
    begun = time.monotonic()
    assert server.end() == 0
    assert time.monotonic() - begun < 15
    for thread in threads:
        thread.join()
    assert 503 in statuses


def test_addresses_of_other_machines_need_keys(sluice):
    refused = sluice("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 3 and "--no-auth" in refused.stderr
    for wrong in (["--model", "nothing.gguf"], ["--keys", "nothing.json"], ["--policy", "order"],
                  ["--policy", "order=random"],
                  ["--host", "no.such.host.invalid"], ["--log", "everything"]):
        done = sluice("serve", "--port", "0", *wrong)
        assert done.returncode != 0 and "error" in done.stderr, done.stderr


def test_what_it_says_to_people(sluice):
    process = sluice.start("serve", "--port", "0", "--context", "512", text=True)
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        assert "listening on http://127.0.0.1:" in lines[1] and "curl " in lines[1]
        command = lines[1].split("try: ", 1)[1].replace("curl ", "curl -sS ", 1)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60,
                              env=environment())
        assert json.loads(done.stdout)["choices"][0]["message"]["content"], done.stderr
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
