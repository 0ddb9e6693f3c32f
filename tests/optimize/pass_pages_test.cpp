// Each pass has a page in docs/architecture/passes/ that is made from the head of its file, so that
// the two cannot differ. SLUICE_WRITE_PASS_PAGES=1 writes the pages anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "fmt/format.h"
#include "optimize/pass.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

fs::path source_dir() {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  return root == nullptr ? "." : root;
}
fs::path pages_dir() { return source_dir() / "docs/architecture/passes"; }

std::string read_text(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// The lines of the comment at the head of a file, without its slashes.
std::vector<std::string> head_of(const fs::path& file) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line) && line.starts_with("//");) {
    lines.push_back(line.size() > 3 ? line.substr(3) : "");
  }
  return lines;
}

// Lines that stand further in are an example, to be shown as they are.
std::string markdown_of(const std::vector<std::string>& lines) {
  std::string text;
  bool code = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    const bool next_is_code = i + 1 < lines.size() && lines[i + 1].starts_with("  ");
    const bool is_code = line.starts_with("  ") || (code && line.empty() && next_is_code);
    if (is_code != code) text += "```\n";
    code = is_code;
    text += (is_code && !line.empty() ? line.substr(2) : line) + "\n";
  }
  return code ? text + "```\n" : text;
}

std::string class_text(PassClass kind) {
  switch (kind) {
    case PassClass::kExact:
      return "Exact: results stay what they are.";
    case PassClass::kHedging:
      return "Hedging: results stay what they are, calls may become more; it runs only where a "
             "plan "
             "says `allow`.";
    case PassClass::kApproximate:
      return "Approximate: results may differ; it runs only where a plan says `allow`.";
  }
  return "";
}

std::string page_of(const Pass& pass, std::size_t number) {
  const std::string name(pass.info.name);
  std::vector<std::string> lines = head_of(source_dir() / ("src/optimize/passes/" + name + ".cpp"));
  if (lines.empty()) return "";
  std::string& first = lines.front();
  if (first.starts_with(name + ": ")) first.erase(0, name.size() + 2);
  if (!first.empty()) first[0] = static_cast<char>(std::toupper(first[0]));
  return fmt::format(
      "# {0}\n\n"
      "{1} Pass {2} of {3}, {4}; `--without {0}` switches it off.\n\n"
      "{5}\n"
      "This page is the head of `src/optimize/passes/{0}.cpp`.\n",
      name, class_text(pass.info.kind), number, all_passes().size(),
      pass.rewrite != nullptr ? "on the logical plan" : "on the physical plan", markdown_of(lines));
}

std::string index_page() {
  std::string text =
      "# The passes\n\n"
      "In the order in which they run. How the optimizer uses them stands in\n"
      "[the optimizer](../optimizer.md), how one more is written in\n"
      "[adding a pass](../adding_a_pass.md). These pages are written by\n"
      "`SLUICE_WRITE_PASS_PAGES=1 test_optimize --gtest_filter='PassPages*'` from the passes' own "
      "files.\n\n"
      "|pass|class|what it does|\n|-|-|-|\n";
  for (const Pass& pass : all_passes()) {
    const std::string word = pass.info.kind == PassClass::kExact     ? "exact"
                             : pass.info.kind == PassClass::kHedging ? "hedging"
                                                                     : "approximate";
    text += fmt::format("|[{0}]({0}.md)|{1}|{2}|\n", pass.info.name, word, pass.info.what);
  }
  return text;
}

TEST(PassPages, AreTheHeadsOfThePasses) {
  const bool write = std::getenv("SLUICE_WRITE_PASS_PAGES") != nullptr;
  if (write) fs::create_directories(pages_dir());
  std::set<std::string> known = {"README"};
  auto check = [&](const std::string& name, const std::string& page) {
    known.insert(name);
    const fs::path file = pages_dir() / (name + ".md");
    if (write) std::ofstream(file) << page;
    EXPECT_EQ(read_text(file), page) << "write it anew with SLUICE_WRITE_PASS_PAGES=1";
  };
  check("README", index_page());
  for (std::size_t i = 0; i < all_passes().size(); ++i) {
    const std::string page = page_of(all_passes()[i], i + 1);
    EXPECT_FALSE(page.empty()) << all_passes()[i].info.name << " has no head";
    check(std::string(all_passes()[i].info.name), page);
  }
  for (const auto& entry : fs::directory_iterator(pages_dir())) {
    EXPECT_TRUE(known.contains(entry.path().stem().string())) << "of no pass: " << entry.path();
  }
}

}  // namespace
}  // namespace sluice
