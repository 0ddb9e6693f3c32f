"""The plans that test_kill.py kills, each with what its ledger must show at the end."""

import dataclasses
import pathlib
import sys

LEDGER_PROGRAM = pathlib.Path(__file__).with_name("ledger.py")


@dataclasses.dataclass(frozen=True)
class Shape:
    plan: str
    deeds: dict          # how often each was really done
    exit_code: int = 0
    files: int = 0       # that the run writes to out/
    rows: int = 0        # that it stores in rows.db
    rings: dict = dataclasses.field(default_factory=dict)  # task: argument; nobody can ask for these
    in_order: bool = False  # of the whole ledger
    model: bool = False


def tools(ledger):
    def process(deed, more):
        words = f"[{sys.executable}, -I, -S, {LEDGER_PROGRAM}, {ledger}, {deed}]"
        return f"  {deed}: {{kind: process, command: {words}, concurrency: 4, {more}}}\n"

    asked = 'probe: {tool: asked.run, with: {args: ["{{ key }}"]}}'
    back = 'undo: {tool: refund.run, with: {args: ["{{ output.of }}"]}}'
    return "tools:\n" + "".join([
        process("put", "effect: idempotent"),
        process("pay", f"effect: once, {asked}, {back}"),
        process("refund", f"effect: once, {asked}"),
        process("ring", "effect: once"),
        process("flaky", "effect: idempotent"),
        process("fail", "effect: idempotent"),
        process("asked", "effect: read"),
        "  lines: {kind: process, stdout: lines, effect: pure, command: [seq, '1', '6']}\n",
        "  out: {kind: files, root: out, write: true}\n",
        "  db: {kind: sql, database: rows.db, functions: {exec: {effect: idempotent}}, "
        "init: 'create table if not exists row (id primary key, text)'}\n"])


CHAIN = """
steps:
  a: {tool: put, with: {args: [a]}}
  b: {tool: pay, with: {args: ["{{ steps.a.output.of }}b"]}}
  c: {tool: ring, with: {args: ["{{ steps.b.output.of }}c"]}}
  d: {tool: out.write, with: {path: d.txt, text: "{{ steps.c.output.of }}"}}
  e: {after: [d], tool: pay, with: {args: [e]}}
result: "{{ steps.c.output.of }} {{ steps.e.output.of }}"
"""

ITEMS = """
steps:
  pay: {for_each: [p0, p1, p2, p3, p4, p5], tool: pay, with: {args: ["{{ item }}"]}}
  put: {for_each: "{{ steps.pay.output }}", tool: put, with: {args: ["{{ item.of }}"]}}
  row:
    for_each: "{{ steps.put.output }}"
    tool: db.exec
    with: {sql: "insert or replace into row values (?, ?)", args: ["{{ index }}", "{{ item.of }}"]}
  file: {for_each: "{{ steps.put.output }}", tool: out.write, with: {path: "{{ index }}.txt", text: "{{ item.of }}"}}
  rows: {after: [row, file], tool: db.query, with: {sql: select text from row order by id}}
result: "{{ steps.rows.output | map(attribute='text') | join(' ') }}"
"""

STREAM = """
steps:
  line: {tool: lines}
  put: {for_each: "{{ steps.line.output }}", tool: put, with: {args: ["{{ item }}"]}}
  ring: {for_each: "{{ steps.put.output }}", tool: ring, with: {args: ["{{ item.of }}"]}, concurrency: 1}
result: "{{ steps.ring.output | map(attribute='of') | join(' ') }}"
"""

RETRIES = """
plans:
  part:
    params: {name: {type: string}}
    steps:
      try: {tool: flaky, with: {args: ["{{ params.name }}"]}, retry: {attempts: 5, delay: 5ms, on: [TOOL_FAILED]}}
      pay: {tool: pay, with: {args: ["{{ steps.try.output.of }}"]}}
      instead: {value: {of: nothing}}
      bad: {after: [pay], tool: fail, on_error: {step: instead}}
    result: "{{ steps.pay.output.of }} {{ steps.bad.output.of }}"
steps:
  part: {for_each: [x, y, z], plan: part, with: {name: "{{ item }}"}}
result: "{{ steps.part.output | join(', ') }}"
"""

WAITS = """
steps:
  a: {for_each: [1, 2], tool: put, with: {args: ["{{ item }}"]}}
  pause: {after: [a], wait: {for: 40ms}}
  b:
    after: [pause]
    tool: put
    with: {args: ["round {{ round }}"]}
    repeat: {until: "{{ round >= 3 }}", max: 5, delay: 10ms}
  c: {after: [b], tool: ring, with: {args: [end]}}
  upper:
    code: |
      def main(text):
          return text.upper()
    with: {text: "{{ steps.b.output.of }}"}
result: "{{ steps.upper.output }} {{ steps.c.output.of }}"
"""

UNDO = """
undo: true
steps:
  pay: {for_each: [u0, u1, u2, u3], concurrency: 1, tool: pay, with: {args: ["{{ item }}"]}}
  end: {after: [pay], tool: fail}
"""

MODEL = """
steps:
  name: {llm: default, with: {prompt: "A name for a cat:", max_tokens: 6, temperature: 0}}
  pay: {tool: pay, with: {args: ["{{ steps.name.output }}"]}}
  more: {llm: default, with: {prompt: "{{ steps.pay.output.of }} is a cat that", max_tokens: 8, temperature: 0}}
  put: {tool: put, with: {args: ["{{ steps.more.output }}"]}}
result: "{{ steps.put.output.of }}"
"""


def shapes(ledger):
    """{name: Shape}; the one with a model last."""

    def shape(text, deeds, **more):
        return Shape("sluice: 1\n" + tools(ledger) + text.lstrip("\n"), deeds, **more)

    return {
        "chain": shape(CHAIN, {"put": 1, "pay": 2, "ring": 1}, files=1,
                       rings={"c": "abc"}, in_order=True),
        "items": shape(ITEMS, {"pay": 6, "put": 6}, files=6, rows=6),
        "stream": shape(STREAM, {"put": 6, "ring": 6},
                        rings={f"ring[{i}]": str(i + 1) for i in range(6)}),
        "retries": shape(RETRIES, {"flaky": 3, "pay": 3}),
        "waits": shape(WAITS, {"put": 5, "ring": 1}, rings={"c": "end"}),
        "undo": shape(UNDO, {"pay": 4, "refund": 4}, exit_code=1, in_order=True),
        "model": shape(MODEL, {"pay": 1, "put": 1}, model=True),
    }
