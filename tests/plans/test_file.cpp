#include "tests/plans/test_file.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string_view>

#include "fmt/format.h"

namespace sluice::plantest {
namespace {

constexpr std::string_view kMark = "===";
constexpr std::array<std::string_view, 10> kKeywords = {
    "plan", "file", "params", "model", "signal", "run", "verify", "expect", "explain", "optimize"};

bool takes_comments(const Block& block) {
  return block.keyword != "plan" && block.keyword != "file" && block.keyword != "expect";
}

Result<Block> open_block(const std::string& line, int number, const std::filesystem::path& path) {
  std::istringstream words(line.substr(kMark.size()));
  Block block;
  block.line = number;
  words >> block.keyword;
  for (std::string word; words >> word;) block.words.push_back(word);
  if (std::ranges::find(kKeywords, block.keyword) == kKeywords.end()) {
    return fail(ErrorCode::kUsage,
                fmt::format("{}:{}: no block '{}'", path.string(), number, block.keyword));
  }
  return block;
}

}  // namespace

Result<TestFile> read_test_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  if (!in) return fail(ErrorCode::kFileUnreadable, "cannot read " + path.string());
  TestFile file{.path = path, .preamble = "", .blocks = {}};
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.starts_with(kMark)) {
      auto block = open_block(line, number, path);
      if (!block) return std::unexpected(block.error());
      file.blocks.push_back(std::move(*block));
    } else if (file.blocks.empty()) {
      file.preamble += line + "\n";
    } else if (Block& block = file.blocks.back(); line.starts_with("#") && takes_comments(block)) {
      block.comments += line + "\n";
    } else {
      block.body += line + "\n";
    }
  }
  return file;
}

Result<void> write_test_file(const TestFile& file) {
  std::ofstream out(file.path, std::ios::trunc);
  out << file.preamble;
  for (const Block& block : file.blocks) {
    out << kMark << ' ' << block.keyword;
    for (const std::string& word : block.words) out << ' ' << word;
    out << '\n' << block.body << block.comments;
  }
  if (!out.flush()) return fail(ErrorCode::kIo, "cannot write " + file.path.string());
  return {};
}

}  // namespace sluice::plantest
