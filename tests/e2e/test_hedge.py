"""A second attempt beside a call that takes far too long: a real tool whose calls hang when a file says so."""

import json
import signal
import time

from conftest import wait_until

TOOL = '''
import os, time

def nap(n):
    with open("asked", "a") as out:
        out.write(f"{n}\\n")
    # The first attempt of the last one hangs, once the file is there.
    if n == 99 and os.path.exists("hang"):
        os.unlink("hang")
        time.sleep(30)
    time.sleep(0.02)
    return n
'''

PLAN = """sluice: 1
%s
tools: {t: {kind: python, file: t.py, effect: pure}}
steps:
  got: {for_each: %s, tool: t.nap, with: {n: "{{ item }}"}, timeout: 20s}
result: "{{ steps.got.output }}"
"""


def test_a_call_that_hangs_is_tried_again_beside_it(sluice):
    sluice.write("t.py", TOOL)
    allowed = PLAN % ("allow: [hedge_calls]", list(range(100)))
    taught = sluice.run_plan(allowed)  # nothing is known yet: this run teaches
    assert taught.returncode == 0 and "tried twice" not in taught.stderr, taught.stderr
    (sluice.folder / "asked").unlink()
    (sluice.folder / "hang").touch()
    began = time.monotonic()
    done = sluice.run_plan(allowed)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == list(range(100))
    assert took < 15, "it did not wait for the one that hung"
    asked = [int(line) for line in (sluice.folder / "asked").read_text().split()]
    assert asked.count(99) == 2 and len(asked) <= 106
    assert "tried twice" in done.stderr
    got = next(step for step in sluice.shown("last")["steps"] if step["step"] == "got")
    assert got["calls"] == 100 and got["hedged"] >= 1
    replayed = sluice("replay", "last")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_it_needs_the_plans_leave(sluice):
    sluice.write("t.py", TOOL)
    for _ in range(2):
        done = sluice.run_plan(PLAN % ("", list(range(100))))
        assert done.returncode == 0 and "tried twice" not in done.stderr
    assert len((sluice.folder / "asked").read_text().split()) == 200


STUBBORN = """sluice: 1
allow: [hedge_calls]
tools: {t: {kind: process, stdout: text, effect: pure, command: [sh, nap.sh]}}
steps:
  got: {for_each: %s, tool: t, with: {args: ["{{ item }}"]}}
result: "{{ steps.got.output }}"
"""


def test_what_is_cut_off_is_not_tried_again(sluice):
    sluice.write("nap.sh", """echo $1 >> asked
if [ -e hang ]; then trap '' TERM; sleep 30; fi
sleep 0.8
""")
    taught = sluice.run_plan(STUBBORN % list(range(24)))
    assert taught.returncode == 0, taught.stderr
    (sluice.folder / "asked").unlink()
    (sluice.folder / "hang").touch()
    process = sluice.start("run", sluice.write("plan.yaml", STUBBORN % [99]))
    wait_until((sluice.folder / "asked").exists)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)  # it ignores SIGTERM, and is killed a second later: after the time for another
    try:
        _, told = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert (sluice.folder / "asked").read_text().split() == ["99"], told
