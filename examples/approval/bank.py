"""A small bank. It keeps its book in out/book.jsonl, one payment a line."""

import fcntl
import json
import os
import pathlib

BOOK = pathlib.Path(__file__).parent / "out" / "book.jsonl"


def pay(order: str, amount: float):
    """Pays an order. The same key pays once, however often it is asked: so it may be repeated."""
    key = os.environ["SLUICE_KEY"]
    with open(BOOK, "a+") as book:
        fcntl.flock(book, fcntl.LOCK_EX)
        book.seek(0)
        for line in book:
            if json.loads(line)["key"] == key:
                return json.loads(line)
        payment = {"order": order, "amount": amount, "key": key}
        book.write(json.dumps(payment) + "\n")
        return payment
