"""The outside world of the durability tests: a program that appends what it did to a ledger file.

    ledger.py LEDGER DEED [ARGUMENT]      the task's key comes in SLUICE_KEY

Deeds: put (idempotent: a key that stands there already is not done again), pay and refund (each call is
done), ring (the same, and nobody can ask), flaky (put, but its first two calls fail), fail,
asked (a probe: was this key done).

A process that Sluice started outlives a Sluice that is killed, so `asked` may come before a call that
is still under way. Its `absent` is final all the same: it leaves a mark, and a call that began before
the mark refuses to act. A tool that answers probes must do something of the kind.
"""

import fcntl
import json
import os
import random
import sys
import time

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def began_s():
    """When this process was started, on the clock of the machine's start."""
    with open("/proc/self/stat") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[19]) * TICK_S


def entries_of(ledger):
    ledger.seek(0)
    return [json.loads(line) for line in ledger]


def append(ledger, **entry):
    os.write(ledger.fileno(), (json.dumps(entry) + "\n").encode())


def ask(ledger, key):
    if any(e["key"] == key and e["deed"] in ("pay", "refund") for e in entries_of(ledger)):
        done = next(e for e in entries_of(ledger) if e["key"] == key and "gave" in e)
        return {"state": "done", "output": done["gave"]}
    append(ledger, deed="fenced", key=key, until=time.clock_gettime(time.CLOCK_BOOTTIME))
    time.sleep(3 * TICK_S)  # whoever is called from now on has a later beginning
    return {"state": "absent"}


def act(ledger, deed, key, argument):
    seen = [e for e in entries_of(ledger) if e["key"] == key]
    if any(e["deed"] == "fenced" and began_s() <= e["until"] for e in seen):
        append(ledger, deed="refused", key=key)
        sys.exit("this call was declared absent")
    if deed == "fail":
        append(ledger, deed=deed, key=key)
        sys.exit("it always fails")
    if deed == "flaky" and sum(e["deed"] == "flaky_failed" for e in seen) < 2:
        append(ledger, deed="flaky_failed", key=key)
        sys.exit("not yet")
    before = next((e for e in seen if e["deed"] == deed), None)
    if before and deed in ("put", "flaky"):
        append(ledger, deed="again", key=key)
        return before["gave"]
    gave = {"deed": deed, "of": argument}
    append(ledger, deed=deed, key=key, gave=gave, pid=os.getpid())
    return gave


def main():
    path, deed, argument = sys.argv[1], sys.argv[2], (sys.argv[3:] or [""])[0]
    time.sleep(random.random() * 0.01)
    with open(path, "a+") as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX)
        gave = ask(ledger, argument) if deed == "asked" else \
            act(ledger, deed, os.environ["SLUICE_KEY"], argument)
    time.sleep(random.random() * 0.01)
    print(json.dumps(gave))


if __name__ == "__main__":
    main()
