"""A second attempt beside a call that takes far too long: a real tool whose calls hang when a file says so."""

import json
import time

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
