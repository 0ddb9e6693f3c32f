"""A small machine that runs one job. It is busy twice before it takes one."""

import json
import pathlib

STATE = pathlib.Path(__file__).parent / "out" / "machine.json"
TIMES_BUSY = 2


def _load():
    return json.loads(STATE.read_text())


def _save(state):
    STATE.write_text(json.dumps(state))
    return state


def reset():
    """Switches the machine on, with no job."""
    return _save({"attempt": 0, "parts": 0, "done": 0, "asked": 0})


def start(parts: int):
    """Starts a job of so many parts, or says that the machine is busy."""
    state = _load()
    state["attempt"] += 1
    _save(state)
    if state["attempt"] <= TIMES_BUSY:
        raise RuntimeError("the machine is busy, try again")
    return _save(dict(state, parts=parts))


def progress():
    """How much of the job is done. Each look finds one more part done."""
    state = _load()
    return _save(dict(state, done=min(state["done"] + 1, state["parts"]), asked=state["asked"] + 1))
