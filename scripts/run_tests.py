#!/usr/bin/env python3
"""Runs ctest in a build folder and ends with one line: `N passed, N failed`.

    run_tests.py BUILD_DIR [--long] [ctest arguments]

Every test executable leaves its cases as XML in BUILD_DIR/test-results; they are counted one by
one. An executable that crashed or left nothing counts as one failure under its own name.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml


def count_cases(file):
    """(passed, skipped, names of the failed) of one result file, or None when it is not whole."""
    try:
        root = xml.parse(file).getroot()
    except (OSError, xml.ParseError):
        return None
    passed, skipped, failed = 0, 0, []
    for case in root.iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name', '')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None or case.get("result") == "skipped":
            skipped += 1
        elif case.get("status") != "notrun":
            passed += 1
    return passed, skipped, failed


def fold(build, junit):
    """Adds up what ctest says with what each executable wrote."""
    passed, skipped, failed = 0, 0, []
    for test in xml.parse(junit).getroot().iter("testcase"):
        name = test.get("name")
        good = test.get("status") == "run"
        cases = count_cases(build / "test-results" / f"{name}.xml")
        if cases is None:
            cases = (1, 0, []) if good else (0, 0, [name])
        passed += cases[0]
        skipped += cases[1]
        failed += [f"{name}: {case}" for case in cases[2]]
        if not good and not cases[2]:
            failed.append(f"{name}: ended badly after its cases (crash, leak or timeout)")
    return passed, skipped, failed


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    arguments = sys.argv[2:]
    environment = dict(os.environ)
    if "--long" in arguments:
        arguments.remove("--long")
        environment["SLUICE_TEST_LONG"] = "1"
        environment.setdefault("SLUICE_FUZZ_SECONDS", "30")
    results = build / "test-results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    junit = results / "ctest-summary.xml"
    # One more than there are cores: the plan tests mostly wait for timers.
    jobs = environment.get("SLUICE_JOBS", str((os.cpu_count() or 2) + 1))
    print("sluice: running the tests", file=sys.stderr, flush=True)
    done = subprocess.run(["ctest", "--test-dir", str(build), "--output-on-failure", "-j", jobs,
                           "--output-junit", str(junit), "--no-tests=error", *arguments],
                          env=environment)
    if not junit.exists():
        print("sluice: ctest did not start; its words are above", file=sys.stderr)
        return done.returncode or 1
    passed, skipped, failed = fold(build, junit)
    for name in failed:
        print(f"FAILED {name}")
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {len(failed)} failed", flush=True)
    return 1 if failed or done.returncode != 0 else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
