"""A small travel agency. It keeps its bookings in out/bookings.jsonl, one deed a line."""

import fcntl
import json
import os
import pathlib

BOOKINGS = pathlib.Path(__file__).parent / "out" / "bookings.jsonl"


def _once_per_key(deed, **more):
    """Does it, unless this key has done it before."""
    key = os.environ["SLUICE_KEY"]
    with open(BOOKINGS, "a+") as bookings:
        fcntl.flock(bookings, fcntl.LOCK_EX)
        bookings.seek(0)
        lines = [json.loads(line) for line in bookings]
        for line in lines:
            if line["key"] == key:
                return line
        done = {"deed": deed, **more, "number": len(lines) + 1, "key": key}
        bookings.write(json.dumps(done) + "\n")
        return done


def book(what: str, left: int):
    """Books one of what is left."""
    if left < 1:
        raise RuntimeError(f"no {what} is left")
    return _once_per_key("booked", what=what)


def cancel(number: int, what: str):
    """Takes a booking back."""
    return _once_per_key("cancelled", what=what, booking=number)
