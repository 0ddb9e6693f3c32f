#!/usr/bin/env python3
"""The tidy test: our sources keep the rules, and every rule catches its bad sample.

    test_check_sources.py [RESULTS.xml]
"""

import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]
import check_sources
import junit_results

ROOT = pathlib.Path(__file__).parents[2]
HEADER = "// What this is for.\n#pragma once\n"


class OwnSources(unittest.TestCase):
    def test_keep_every_rule(self):
        findings = check_sources.check_tree(ROOT)
        self.assertEqual([], [str(finding) for finding in findings],
                         "\n" + "\n".join(map(str, findings)))

    def test_are_found_at_all(self):
        names = list(check_sources.own_sources(ROOT))
        self.assertIn("tests/tidy/check_sources.py", names)
        self.assertTrue(any(name.startswith("src/base/") for name in names))

    def test_table_has_only_downward_edges(self):
        table = check_sources.read_folder_table(ROOT / "cmake" / "folders.txt")
        seen = set()
        for folder, includes in table.items():
            self.assertLessEqual(includes, seen, f"{folder} includes a folder below it")
            seen.add(folder)


class Canaries(unittest.TestCase):
    """A bad sample per rule: a check that stops catching its canary is broken."""

    table = check_sources.read_folder_table(ROOT / "cmake" / "folders.txt")

    def rules(self, name, text):
        return [finding.rule for finding in check_sources.check_text(name, text, self.table)]

    def assert_caught(self, rule, name, text):
        self.assertEqual([rule], self.rules(name, text))

    def assert_clean(self, name, text):
        self.assertEqual([], self.rules(name, text))

    def test_upward_include(self):
        self.assert_caught("include", "src/plan/a.cpp", '#include "verify/verify.h"\n')
        self.assert_caught("include", "src/plan/deep/a.cpp", '#include "verify/verify.h"\n')
        self.assert_caught("include", "src/base/a.cpp", "#include <data/value.h>\n")
        self.assert_clean("src/verify/a.cpp", '#include "plan/logical.h"\n')

    def test_include_against_the_order_below_a_folder(self):
        self.assert_caught("include", "src/host/files/a.cpp", '#include "host/runs/live_run.h"\n')
        self.assert_clean("src/host/runs/a.cpp", '#include "host/files/read_file.h"\n')

    def test_include_that_is_only_transitive(self):
        self.assert_caught("include", "src/optimize/a.cpp", '#include "journal/journal.h"\n')
        self.assert_caught("include", "src/simulate/a.cpp", '#include "engine/engine.h"\n')

    def test_include_without_a_folder(self):
        self.assert_caught("include", "src/plan/a.cpp", '#include "logical.h"\n')

    def test_unknown_folder(self):
        self.assert_caught("include", "src/misc/a.cpp", "int x;\n")

    def test_engine_headers_outside_engine(self):
        for header in ("<llama.h>", '"llama.h"', "<ggml-cpu.h>", "<xgrammar/xgrammar.h>",
                       '"jinja/parser.h"'):
            self.assert_caught("include", "src/models/a.cpp", f"#include {header}\n")
            self.assert_clean("src/engine/a.cpp", f"#include {header}\n")

    def test_clocks_and_chance(self):
        for call in ("std::chrono::system_clock::now()", "steady_clock::now()", "rand()",
                     "std::rand()", "std::random_device{}()", "time(nullptr)", "std::time(0)",
                     "::time(&t)", "clock_gettime(CLOCK_REALTIME, &t)"):
            self.assert_caught("clock-or-chance", "src/host/a.cpp", f"auto x = {call};\n")
            self.assert_clean("src/base/a.cpp", f"auto x = {call};\n")

    def test_what_only_looks_like_a_clock(self):
        for harmless in ("clock.now()", "event.time()", "run->time()", "start_time(0)",
                         "operand(1)", '"rand()"', "x;  // steady_clock::now()"):
            self.assert_clean("src/host/a.cpp", f"auto x = {harmless};\n")

    def test_long_function(self):
        body = "  f();\n" * 69
        self.assert_caught("function-length", "src/plan/a.cpp", f"void g(int a) {{\n{body}}}\n")
        self.assert_caught("function-length", "src/plan/a.cpp",
                           f"namespace s {{\nclass A {{\n  void g() {{\n{body}  }}\n}};\n}}\n")
        self.assert_caught("function-length", "tests/plan/a.cpp", f"TEST(A, b) {{\n{body}}}\n")
        self.assert_caught("function-length", "src/plan/a.h",
                           f"{HEADER}template <class T, class U = V<int>>\nU g(T a) {{\n{body}}}\n")
        self.assert_caught("function-length", "src/plan/a.cpp",
                           f"A::A(int b) : b_{{b}}, c_(b) {{\n{body}  f();\n}}\n")
        self.assert_caught("function-length", "scripts/a.py", "def f():\n" + "  f()\n" * 70)
        shorter = "  f();\n" * 68
        self.assert_clean("src/plan/a.cpp", f"void g(int a) {{\n{shorter}}}\n")

    def test_long_table_is_no_function(self):
        rows = '  {"a", 1},\n' * 100
        self.assert_clean("src/plan/a.cpp", f"constexpr Row kRows[] = {{\n{rows}}};\n")
        self.assert_clean("src/plan/a.cpp", "struct A {\n" + "  int f(int a);\n" * 100 + "};\n")

    def test_braces_in_literals_do_not_count(self):
        text = "const char* a = \"{\"; char b = '{'; auto c = R\"x({ \" {)x\";\n"
        self.assert_clean("src/plan/a.cpp", f"void f() {{\n{text}}}\n" + "int y;\n" * 100)

    def test_long_file(self):
        self.assert_caught("file-length", "src/plan/a.cpp", "int x;\n" * 601)
        self.assert_clean("src/plan/a.cpp", "int x;\n" * 600)

    def test_unfinished(self):
        self.assert_caught("unfinished", "src/plan/a.cpp", "// TO" + "DO: later\n")
        self.assert_caught("unfinished", "scripts/a.py", "# FIX" + "ME\n")

    def test_file_names(self):
        for name in ("plan/string_util.cpp", "plan/helpers.cpp", "plan/common.cpp",
                     "plan/manager/a.cpp", "plan/PlanParser.cpp", "plan/a-b.cpp"):
            self.assert_caught("file-name", f"src/{name}", "int x;\n")

    def test_headers(self):
        self.assert_clean("src/plan/a.h", HEADER)
        self.assert_clean("src/plan/a.h", "#pragma once\n\n// What this is for.\n")
        self.assert_caught("header", "src/plan/a.h", "// What this is for.\nint x;\n")
        self.assert_caught("header", "src/plan/a.h", "#pragma once\nint x;\n")

    def assert_meet(self, expected, one, other, files=("src/plan/a.cpp", "src/host/b.h")):
        texts = dict(zip(files, (one, other)))
        found = [(finding.file, finding.rule)
                 for finding in check_sources.check_one_definition(texts)]
        self.assertEqual([(sorted(files)[1], "one-definition")] if expected else [], found)

    def test_two_types_of_one_name(self):
        plain = "namespace sluice {\nstruct Found {\n  int a;\n};\n}  // namespace sluice\n"
        for other in ("class Found final : public A {};", "enum class Found : int { kA };",
                      "struct alignas(8) Found {};", "union Found { int a; };",
                      "template <class T, class U = V<int>>\nstruct Found {};",
                      "struct [[nodiscard]] Found : A<int>, B {};"):
            self.assert_meet(True, plain, f"namespace sluice {{\n{other}\n}}\n")
        inside = "namespace sluice {\nstruct Loop::Impl {\n  int a;\n};\n}\n"
        self.assert_meet(True, inside, inside)
        deep = "namespace sluice::cli {\nstruct Found {};\n}\n"
        self.assert_meet(True, deep, "namespace sluice {\nnamespace cli {\nstruct Found {};\n}\n}\n")
        self.assert_meet(False, plain, deep)
        self.assert_meet(True, "struct Found {};\n", 'extern "C" {\nstruct Found {};\n}\n')

    def test_types_that_never_meet(self):
        plain = "namespace sluice {\nstruct Found {\n  int a;\n};\n}  // namespace sluice\n"
        for other in ("namespace {\nstruct Found {};\n}", "struct Found;", "struct Found found;",
                      "struct Outer {\n  struct Found {};\n};", "void f() {\n  struct Found {};\n}",
                      "template <>\nstruct Found<int> {};", "Found g(struct Found a) {\n}",
                      'const char* k = "struct Found {}";', "using Found = int;"):
            self.assert_meet(False, plain, f"namespace sluice {{\n{other}\n}}\n")
        self.assert_meet(False, plain, plain, ("tests/plan/a.cpp", "tests/host/b.cpp"))
        self.assert_meet(True, plain, plain, ("tests/plan/a.cpp", "tests/plan/b.cpp"))
        self.assert_meet(True, plain, plain, ("tests/plan/a.cpp", "tests/contract/b.h"))
        self.assert_meet(True, plain, plain, ("tests/plan/a.cpp", "src/plan/b.cpp"))
        self.assert_meet(False, plain, plain.replace("Found", "Lost"))

    def test_using_namespace_std(self):
        self.assert_caught("using-namespace-std", "src/plan/a.cpp", "using namespace std;\n")
        self.assert_clean("src/plan/a.cpp", "using namespace std::literals;\n")


if __name__ == "__main__":
    sys.exit(junit_results.main(sys.modules[__name__], "tidy"))
