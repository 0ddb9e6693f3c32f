"""explain of examples and of real runs, in every form; the page in a headless browser."""

import json
import os
import shutil
import struct
import subprocess
import time
import zlib

import pytest

from conftest import ROOT, run_id_in, wait_until

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
EXAMPLES = sorted(path for folder in (ROOT / "examples").iterdir() if folder.is_dir()
                  for path in folder.glob("*.yaml") if "sluice: 1" in path.read_text())

# Six naps of 0.15 s, two at once, then a sum: 0.45 s, and half of that waiting.
NAPS = """sluice: 1
tools:
  nap: {kind: process, stdout: text, effect: pure, concurrency: 2,
        command: [sh, -c, 'sleep 0.15; printf %s "$1"', sh]}
steps:
  list: {value: [1, 2, 3, 4, 5, 6]}
  nap: {for_each: "{{ steps.list.output }}", tool: nap, with: {args: ["{{ item }}"]}}
  sum: {value: "{{ steps.nap.output | join }}"}
result: "{{ steps.sum.output }}"
"""


def analyzed(sluice, *arguments):
    done = sluice("explain", "--analyze", "last", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("plan", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_explained(sluice, plan):
    text = sluice("explain", plan)
    assert text.returncode == 0, text.stderr
    assert "longest path: " in text.stdout and "the whole run: " in text.stdout
    told = json.loads(sluice("explain", plan, "--format", "json").stdout)
    assert {step["step"] for step in told["steps"]} == {node["id"] for node in told["nodes"]}
    assert all(pass_["pass"] for pass_ in told["passes"])
    as_written = json.loads(sluice("explain", plan, "--no-optimize", "--format", "json").stdout)
    assert all(pass_["off"] and not pass_["notes"] for pass_ in as_written["passes"])


def test_analyze_tells_what_a_run_did(sluice):
    run = run_id_in(sluice.run_plan(NAPS).stderr)
    text = analyzed(sluice)
    assert f"run {run} succeeded: actual (estimated)" in text
    assert "critical path: nap[" in text and "what would help most" in text
    told = json.loads(analyzed(sluice, "--format", "json"))
    nap = next(step for step in told["steps"] if step["step"] == "nap")
    assert nap["critical"] and nap["actual"]["calls"] == 6 and nap["actual"]["done"] == 6
    assert 0.9 <= nap["actual"]["working_seconds"] < 3
    # The second pair waits 0.15 s, the third 0.3 s.
    assert 0.8 <= nap["actual"]["waiting_seconds"] < 3
    assert nap["factor"] > 0
    saved = {change["change"]: change["saved_seconds"] for change in told["run"]["what_if"]["changes"]}
    assert saved["step nap twice as fast"] == pytest.approx(told["run"]["seconds"] / 2, rel=0.3)
    assert any("more place" in change for change in saved), saved
    by_beginning = sluice("explain", "--analyze", run[:10], "--format", "mermaid")
    assert "class s_nap critical" in by_beginning.stdout, by_beginning.stderr


def test_history_makes_better_estimates(sluice):
    env = {"SLUICE_CACHE": str(sluice.folder / "cache")}
    plan = sluice.write("plan.yaml", NAPS)

    def expected():
        done = sluice("explain", plan, "--format", "json", env=env)
        assert done.returncode == 0, done.stderr
        steps = json.loads(done.stdout)["steps"]
        return next(step for step in steps if step["step"] == "nap")["estimate"]["call_seconds"]

    assert expected()["source"] == "default"
    assert sluice("run", plan, env=env).returncode == 0
    assert expected()["source"] == "history"
    assert 0.1 < expected()["middle"] < 0.6


def test_the_page_of_a_run_that_was_killed(sluice):
    plan = NAPS.replace("sleep 0.15", "[ $1 = 1 ] || sleep 3")
    process = sluice.start("run", sluice.write("plan.yaml", plan))
    try:
        wait_until(lambda: any(run["tasks_done"] > 1 for run in sluice.runs()), what="the first nap")
        time.sleep(0.3)
    finally:
        process.kill()
        process.communicate()
    page = analyzed(sluice, "--format", "html")
    assert "interrupted" in page and "nap[0]" in page


# The page, as people see it


def png_pixels(data):
    """Rows of (red, green, blue), of the PNG files that Chromium writes: 8 bits, not interlaced."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert depth == 8 and color in (2, 6) and interlaced == 0
        if kind == b"IDAT":
            packed += body
        at += 12 + size
    step = 3 if color == 2 else 4
    raw, before, rows = zlib.decompress(packed), bytearray(width * step), []
    for y in range(height):
        line = raw[y * (width * step + 1):(y + 1) * (width * step + 1)]
        before = unfiltered(line[0], bytearray(line[1:]), before, step)
        rows.append([tuple(before[x:x + 3]) for x in range(0, len(before), step)])
    return rows


def unfiltered(kind, line, above, step):
    for x in range(len(line)):
        left = line[x - step] if x >= step else 0
        if kind == 1:
            line[x] = (line[x] + left) & 255
        elif kind == 2:
            line[x] = (line[x] + above[x]) & 255
        elif kind == 3:
            line[x] = (line[x] + (left + above[x]) // 2) & 255
        elif kind == 4:
            corner = above[x - step] if x >= step else 0
            guess = left + above[x] - corner
            near = min((left, above[x], corner), key=lambda value: abs(guess - value))
            line[x] = (line[x] + near) & 255
    return line


def screenshot(folder, page, width, height, *more):
    picture = folder / "page.png"
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    subprocess.run([BROWSER, "--headless", *root, "--disable-gpu", "--hide-scrollbars",
                    "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={folder / 'profile'}",
                    f"--window-size={width},{height}", f"--screenshot={picture}", *more,
                    page.as_uri()],
                   check=True, capture_output=True, timeout=60)
    return png_pixels(picture.read_bytes())


def near(pixel, color, within=40):
    return all(abs(a - b) <= within for a, b in zip(pixel, color))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here (scripts/install_packages.sh)")
def test_the_page_shows_bars_in_a_browser(sluice):
    assert sluice.run_plan(NAPS).returncode == 0
    page = sluice.folder / "run.html"
    page.write_text(analyzed(sluice, "--format", "html"))
    rows = screenshot(sluice.folder, page, 900, 700)
    assert len(rows) >= 600 and len(rows[0]) == 900
    counts = {}
    for row in rows:
        for pixel in row:
            counts[pixel] = counts.get(pixel, 0) + 1
    assert len(counts) > 20, "the page is blank"
    # --work of the style: six bars, each as long as a third of the run, that fill it together.
    blue = [(x, y) for y, row in enumerate(rows) for x, pixel in enumerate(row)
            if near(pixel, (0x25, 0x63, 0xEB))]
    assert len(blue) > 3000, f"{len(blue)} pixels of bars"
    columns, lines = {x for x, _ in blue}, {y for _, y in blue}
    assert len(columns) > 500, "the bars fill the time of the run"
    assert len(lines) > 40, "six bars below each other"


def test_a_run_tells_what_passes_did_for_it(sluice):
    text = """sluice: 1
tools: {calc: {kind: process, stdout: json, effect: pure, command: [echo]}}
steps:
  a: {tool: calc, with: {args: ["7"]}}
  b: {tool: calc, with: {args: ["7"]}}
result: ["{{ steps.a.output }}", "{{ steps.b.output }}"]
"""
    done = sluice.run_plan(text, "--without", "rank_by_cost")
    assert done.returncode == 0, done.stderr
    run = sluice.runs()[0]["run"]
    explained = sluice("explain", "--analyze", run)
    assert explained.returncode == 0, explained.stderr
    assert "merge_equal_steps  b: the same as a: done once (saves 1 call" in explained.stdout, explained.stdout
    assert "switched off: rank_by_cost" in explained.stdout
    assert "nothing to do for" not in explained.stdout
    told = json.loads(sluice("explain", "--analyze", run, "--format", "json").stdout)["passes"]
    merged = [each for each in told if each["pass"] == "merge_equal_steps"]
    assert len(merged) == 1 and merged[0]["notes"][0]["saved_calls"] == 1, told
    assert [each["pass"] for each in told if each["off"]] == ["rank_by_cost"]
    assert "<b>merge_equal_steps</b>" in sluice("explain", "--analyze", run, "--format", "html").stdout
