// Each code of src/base/error_codes.def has a page in docs/errors/ that says what the table says.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "base/error.h"
#include "fmt/format.h"

namespace sluice {
namespace {

std::filesystem::path pages_dir() {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  return std::filesystem::path(root == nullptr ? "." : root) / "docs" / "errors";
}

std::string read_page(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(ErrorPages, EachCodeHasAPageThatAgreesWithTheTable) {
  for (const ErrorCodeInfo& info : error_codes()) {
    std::string page = read_page(pages_dir() / (std::string(info.name) + ".md"));
    EXPECT_TRUE(page.starts_with(fmt::format("# {}\n", info.name))) << info.name;
    EXPECT_NE(page.find(fmt::format("Number {}, class `{}`", static_cast<int>(info.code),
                                    error_class_name(info.klass))),
              std::string::npos)
        << info.name;
    EXPECT_EQ(page.find("not retryable") == std::string::npos, info.retryable) << info.name;
    for (const char* heading : {"\n## Cause\n", "\n## Cure\n", "\n## Example\n```"}) {
      EXPECT_NE(page.find(heading), std::string::npos) << info.name << heading;
    }
  }
}

TEST(ErrorPages, NoPageIsLeftOfACodeThatIsGone) {
  std::set<std::string> names = {"README"};
  for (const ErrorCodeInfo& info : error_codes()) names.insert(std::string(info.name));
  std::string index = read_page(pages_dir() / "README.md");
  for (const auto& entry : std::filesystem::directory_iterator(pages_dir())) {
    EXPECT_TRUE(names.contains(entry.path().stem().string())) << entry.path();
  }
  for (const std::string& name : names) {
    if (name == "README") continue;
    EXPECT_NE(index.find(fmt::format("({}.md)", name)), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace sluice
