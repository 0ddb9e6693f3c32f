"""Runs a module's unittest cases and writes what scripts/run_tests.py counts."""

import sys
import unittest
import xml.sax.saxutils


def write(path, suite_name, ran, result):
    failures = {case.id(): text for case, text in result.failures + result.errors}
    with open(path, "w") as out:
        out.write(f'<testsuite name="{suite_name}" tests="{len(ran)}">\n')
        for name in ran:
            inner = ""
            if name in failures:
                inner = f"<failure>{xml.sax.saxutils.escape(failures[name])}</failure>"
            short = name.removeprefix("__main__.")
            out.write(f'<testcase classname="{suite_name}" name="{short}">{inner}</testcase>\n')
        out.write("</testsuite>\n")


def main(module, suite_name):
    """The command line of a test script: [RESULTS.xml]. Returns the exit status."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    ran = [case.id() for group in suite for case in group]
    result = unittest.TextTestRunner(verbosity=0).run(suite)
    if len(sys.argv) > 1:
        write(sys.argv[1], suite_name, ran, result)
    return 0 if result.wasSuccessful() else 1
