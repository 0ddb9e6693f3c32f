"""What a beginner gives: each ends soon, with a message that helps and the right exit code."""

import os
import socket

import pytest

GOOD = 'sluice: 1\nsteps: {a: {value: 1}}\nresult: "{{ steps.a.output }}"\n'


def said(done, code, *words):
    text = done.stdout + done.stderr
    assert done.returncode == code, text
    for word in words:
        assert word.lower() in text.lower(), f"{word!r} is not in: {text}"
    assert "Traceback" not in text and "terminate called" not in text
    assert len(text) < 5000, "too long to read"


def test_empty_file(sluice):
    said(sluice.run_plan(""), 2, "empty")


def test_tabs(sluice):
    said(sluice.run_plan("sluice: 1\nsteps:\n\ta: {value: 1}\n"), 2, "tab", ":3:1")


def test_misspelt_key(sluice):
    said(sluice.run_plan("sluice: 1\nsteps:\n  a: {vlaue: 1}\n"), 2, "did you mean value", ":3:7")


def test_missing_file(sluice):
    sluice.write("plan.yaml", GOOD)
    said(sluice("run", "paln.yaml"), 3, "paln.yaml", "plan.yaml")


def test_a_folder_as_plan(sluice):
    said(sluice("run", "."), 3, "director")


def test_a_pdf_as_plan(sluice):
    (sluice.folder / "plan.pdf").write_bytes(b"%PDF-1.7\n\xe2\xe3\xcf\xd3\n" + os.urandom(4000))
    said(sluice("run", "plan.pdf"), 2, "PDF")


def test_random_bytes_as_plan(sluice):
    (sluice.folder / "plan.yaml").write_bytes(os.urandom(4000))
    assert sluice("run", "plan.yaml").returncode == 2


def test_a_huge_file(sluice):
    with open(sluice.folder / "plan.yaml", "wb") as file:
        file.truncate(3 << 30)
    said(sluice("run", "plan.yaml", timeout=10), 2, "large")


@pytest.mark.parametrize("opening, closing", [("[", "]"), ("{a: ", "}")])
def test_deep_nesting(sluice, opening, closing):
    depth = 100_000
    text = f"sluice: 1\nsteps: {{a: {{value: {opening * depth}1{closing * depth}}}}}\n"
    said(sluice.run_plan(text, timeout=10), 2, "PLAN_TOO_LARGE")


def test_deep_expression(sluice):
    text = 'sluice: 1\nsteps: {a: {value: "{{ %s1%s }}"}}\n' % ("(" * 100_000, ")" * 100_000)
    assert sluice.run_plan(text, timeout=10).returncode == 2


def test_a_model_file_that_is_not_one(sluice):
    sluice.write("notes.gguf", "these are my notes")
    plan = sluice.write("plan.yaml", "sluice: 1\nsteps: {a: {llm: default, with: {prompt: x}}}\n"
                        'result: "{{ steps.a.output }}"\n')
    said(sluice("run", plan, "--model", "notes.gguf"), 1, "MODEL_LOAD", "notes.gguf", "GGUF")
    said(sluice("run", plan, "--model", "nowhere.gguf"), 1, "nowhere.gguf")


def test_no_rights_to_write(sluice):
    # /proc cannot be written to by anybody, root included.
    done = sluice.run_plan("sluice: 1\ntools: {out: {kind: files, root: /proc, write: true}}\n"
                           'steps: {a: {tool: out.write, with: {path: x.txt, text: "x"}}}\n')
    assert done.returncode == 1
    assert "x.txt" in done.stderr, done.stderr


def test_a_port_that_is_closed(sluice):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = sluice.run_plan(f"""
sluice: 1
models: {{m: {{kind: openai, url: "http://127.0.0.1:{port}/v1", model: m}}}}
steps: {{a: {{llm: m, with: {{prompt: x}}}}}}
result: "{{{{ steps.a.output }}}}"
""")
    said(done, 1, "MODEL_UNREACHABLE", str(port))


def test_unknown_command_and_option(sluice):
    said(sluice("rnu", "plan.yaml"), 3, "run")
    said(sluice("run", sluice.write("plan.yaml", GOOD), "--jsno"), 3, "--jsno")
    said(sluice(), 3)


def test_parameters(sluice):
    plan = sluice.write("plan.yaml", "sluice: 1\nparams: {count: {type: integer}}\n"
                        'steps: {a: {value: "{{ params.count }}"}}\nresult: "{{ steps.a.output }}"\n')
    said(sluice("run", plan), 2, "PARAM_MISSING", "count")
    said(sluice("run", plan, "--param", "count=five"), 2, "PARAM_INVALID", "count")
    said(sluice("run", plan, "--param", "cuont=5"), 2, "count")
    said(sluice("run", plan, "--param", "count"), 3, "=")
    said(sluice("run", plan, "--params", "nowhere.json"), 3, "nowhere.json")
    sluice.write("bad.json", "{count: ")
    assert sluice("run", plan, "--params", "bad.json").returncode in (2, 3)
    assert sluice("run", plan, "--param", "count=5").returncode == 0
