// A .test file of the plan tests: what it looks like, and reading and rewriting it.
//
// A block begins with a line `=== KEYWORD ...` and goes on to the next such line:
//   === plan                      the plan's text; begins a new case in an empty folder
//   === file NAME                 a file in the folders of this case and of those that follow
//   === params                    JSON object, for the runs that follow
//   === model scripted            replies of the model `default`, one JSON object a line
//   === signal NAME [TASK]        a signal with this JSON, sent when the runs that follow begin
//   === verify ok                 no errors; below it the warnings, `LINE:COLUMN CODE` each
//   === verify error CODE [L:C]   exactly this error; below it, when stated, its message
//   === verify errors             below it all findings, `LINE:COLUMN CODE` each
//   === run                       runs it; below it the result as JSON, or `failed CODE`
//   === run steps                 the same, and then a line for each step
//   === run avoids CODE           the same; with fewer passes it may fail with CODE instead
//   === run params                refused before it runs; below it the codes
//   === expect file NAME          what a file holds after the last run
//   === explain                   the graph as text
//   === optimize PASS             what this pass alone (or `all` of them) did and left alone, and
//                                 then how the steps differ from how they were written
// Outside of `plan` and `file` blocks, lines that begin with # are comments.
//
// Pure data; one thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace sluice::plantest {

struct Block {
  std::string keyword;             // "plan", "run", ...
  std::vector<std::string> words;  // behind the keyword
  std::string body;                // without comment lines where those are allowed
  std::string comments;            // those, in order; kept by a rewrite
  int line = 0;                    // of the `===` line, from 1
};

struct TestFile {
  std::filesystem::path path;
  std::string preamble;  // what stands before the first block
  std::vector<Block> blocks;
};

Result<TestFile> read_test_file(const std::filesystem::path& path);
// Writes the blocks back with the bodies that they have now.
Result<void> write_test_file(const TestFile& file);

}  // namespace sluice::plantest
