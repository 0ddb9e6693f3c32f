"""A soak of `sluice serve`, on demand: `make soak-serve` (an hour; SLUICE_SOAK_SECONDS says another
time). Clients of every manner over a small pool; nothing fails that should not, and memory is flat."""

import json
import os
import random
import statistics
import threading
import time

import pytest

from serving import Served

SECONDS = float(os.environ.get("SLUICE_SOAK_SECONDS", "0"))
CLIENTS = 12
WARM = 0.3  # of the time, before memory counts
# From the first third of what counts to the last. What a server rightly keeps (kept prefixes, the book
# of programs, buffers) has found its size by then. The hour in which that book grew by 4 KiB a
# program gave 1.024 (of all resident memory); a limit lies below that and above an allocator's moves.
GROWTH = 1.01
JUDGED_SECONDS = 1800  # before that the warm-up is too short to tell a leak from a cache that fills
SCHEMA = {"type": "object", "required": ["kind"], "additionalProperties": False,
          "properties": {"kind": {"enum": ["red", "green", "blue"]}}}


def memory_kb(process):
    """What the process itself has written; the mapped model may come and go with the page cache."""
    with open(f"/proc/{process.pid}/status") as status:
        return int(next(line for line in status if line.startswith("RssAnon")).split()[1])


def growth_of(samples):
    """(kB in the first third, kB in the last, bytes more for each answer between) of samples
    (answers so far, kB); medians, so that one high moment decides nothing."""
    third = max(1, len(samples) // 3)
    (answers, first), (later, last) = (
        [statistics.median(values) for values in zip(*part)]
        for part in (samples[:third], samples[-third:]))
    return first, last, 1024 * (last - first) / max(1, later - answers)


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


def test_growth_is_of_the_last_third_over_the_first():
    leaks = [(number, 200_000 + 4 * number // 2) for number in range(3000)]
    first, last, each = growth_of(leaks)
    assert last > first * GROWTH and 1900 < each < 2200
    fills = [(number, 200_000 + min(number, 900)) for number in range(3000)]
    first, last, each = growth_of(fills)
    assert first < last <= first * GROWTH
    peak = [(number, 300_000 if number == 2900 else 200_000) for number in range(3000)]
    assert growth_of(peak)[:2] == (200_000, 200_000)


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
                samples.append((len(seen), memory_kb(server.process)))
        for thread in threads:
            thread.join()
        wrong = [entry for entry in seen if entry[0] != 200 or entry[1]]
        assert seen and not wrong, wrong[:5]
        first, last, each = growth_of(samples)
        print(f"{len(seen)} answers in {SECONDS:.0f} s; memory not of files {first:.0f} kB in the first "
              f"third, {last:.0f} kB in the last ({100 * (last / first - 1):+.2f} %, {each:+.0f} bytes "
              f"an answer)")
        assert SECONDS < JUDGED_SECONDS or last <= first * GROWTH
        assert server.end() == 0
    finally:
        server.close()
