// Which build of the program this is.
#include "base/program_identity.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace sluice {
namespace {

TEST(ProgramIdentity, IsTheBuildIdInTheProgramsFile) {
  const std::string& identity = program_identity();
  ASSERT_FALSE(identity.empty());
  EXPECT_EQ(&identity, &program_identity()) << "read once";
  if (identity.find('-') != std::string::npos) GTEST_SKIP() << "linked without a build id";
  ASSERT_EQ(identity.size() % 2, 0U);
  std::string bytes;
  for (std::size_t i = 0; i < identity.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(identity.substr(i, 2), nullptr, 16));
  }
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string program{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(program.find(bytes), std::string::npos);
}

}  // namespace
}  // namespace sluice
