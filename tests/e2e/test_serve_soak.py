"""A soak of `sluice serve`, on demand: SLUICE_SOAK_SECONDS=3600 make test. Clients of every manner
over a small pool; nothing fails that should not, and memory is flat."""

import json
import os
import random
import threading
import time

import pytest

from serving import Served

SECONDS = float(os.environ.get("SLUICE_SOAK_SECONDS", "0"))
CLIENTS = 12
WARM = 0.3  # of the time, before memory counts
GROWTH = 1.05
SCHEMA = {"type": "object", "required": ["kind"], "additionalProperties": False,
          "properties": {"kind": {"enum": ["red", "green", "blue"]}}}


def memory_kb(process):
    with open(f"/proc/{process.pid}/status") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def body(chance, number):
    """One request of a random manner."""
    story = "A story of a cat. " * chance.randrange(40)
    asked = {"model": "default", "max_tokens": chance.randrange(1, 24), "temperature": chance.random(),
             "messages": [{"role": "user", "content": f"{story}Question {chance.randrange(50)}"}]}
    if chance.random() < 0.3:
        asked["messages"] += [{"role": "assistant", "content": "Yes."},
                              {"role": "user", "content": f"And {number}?"}]
    if chance.random() < 0.2:
        asked["response_format"] = {"type": "json_schema",
                                    "json_schema": {"name": "k", "schema": SCHEMA}}
    if chance.random() < 0.3:
        asked["stream"] = True
    if chance.random() < 0.2:
        asked["sluice"] = {"program": f"p{chance.randrange(20)}", "returns": True,
                           "last": chance.random() < 0.3}
    return asked


def one_client(server, seed, end, seen):
    chance = random.Random(seed)
    while time.monotonic() < end:
        asked = body(chance, seed)
        if chance.random() < 0.15:  # goes away in the middle
            text = json.dumps(asked)
            with server.connect() as connection:
                connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: "
                                   f"{len(text)}\r\n\r\n{text}".encode())
                time.sleep(chance.random() / 5)
            continue
        try:
            status, _, answer = server.ask("POST", "/v1/chat/completions", asked)
        except OSError as error:
            status, answer = 0, repr(error)
        good = status == 200 and (b"[DONE]" in answer if asked.get("stream") else True)
        seen.append((status, "" if good else answer[-300:]))


@pytest.mark.skipif(SECONDS <= 0, reason="on demand: SLUICE_SOAK_SECONDS")
def test_soak(tmp_path):
    server = Served(tmp_path, "--context", 512, "--pool-tokens", 1024, "--max-running", 6,
                    "--host-cache", 16)
    begun = time.monotonic()
    end = begun + SECONDS
    seen, samples = [], []
    threads = [threading.Thread(target=one_client, args=(server, seed, end, seen))
               for seed in range(CLIENTS)]
    try:
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            time.sleep(min(1.0, SECONDS / 50))
            if time.monotonic() > begun + WARM * SECONDS:
                samples.append(memory_kb(server.process))
        for thread in threads:
            thread.join()
        wrong = [entry for entry in seen if entry[0] != 200 or entry[1]]
        assert seen and not wrong, wrong[:5]
        third = max(1, len(samples) // 3)
        first, last = max(samples[:third]), max(samples[-third:])
        print(f"{len(seen)} answers; memory {first} kB, then {last} kB")
        assert last <= first * GROWTH
        assert server.end() == 0
    finally:
        server.close()
