#include "host/files/read_file.h"

#include <gtest/gtest.h>

#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

class ReadFile : public testing::Test {
 protected:
  static std::string said(const Result<std::string>& text, ErrorCode code) {
    EXPECT_FALSE(text.has_value());
    if (text) return "";
    EXPECT_EQ(text.error().code(), code) << text.error().to_string();
    return text.error().message();
  }
  ScratchDir dir;
};

TEST_F(ReadFile, GivesEveryByte) {
  const std::string bytes("a\0b\xff\n", 5);
  EXPECT_EQ(*read_file(dir.write("x", bytes), 100), bytes);
}

TEST_F(ReadFile, NamesWhatIsClose) {
  dir.write("plan.yaml", "sluice: 1");
  const auto message = said(read_file(dir.path() / "plam.yaml", 10), ErrorCode::kFileUnreadable);
  EXPECT_NE(message.find("did you mean"), std::string::npos) << message;
}

TEST_F(ReadFile, PointsIntoADirectory) {
  dir.write("sub/plan.yaml", "sluice: 1");
  const auto message = said(read_file(dir.path() / "sub", 10), ErrorCode::kFileUnreadable);
  EXPECT_NE(message.find("sub/plan.yaml"), std::string::npos) << message;
}

TEST_F(ReadFile, HasALimit) {
  const auto file = dir.write("x", std::string(11, 'x'));
  said(read_file(file, 10), ErrorCode::kFileUnreadable);
  EXPECT_TRUE(read_file(file, 11).has_value());
}

TEST_F(ReadFile, KnowsWhatIsNoPlan) {
  struct {
    const char* name;
    std::string bytes;
    const char* says;
  } cases[] = {
      {"a.pdf", "%PDF-1.7\n...", "PDF"},
      {"b.zip", std::string("PK\x03\x04\x00", 5), "ZIP"},
      {"c.gz", "\x1f\x8b\x08", "gzip"},
      {"d.gguf", "GGUF\x03", "--model"},
      {"e.bin", std::string("ab\0cd", 5), "not text"},
  };
  for (const auto& one : cases) {
    const auto message =
        said(read_plan_file(dir.write(one.name, one.bytes)), ErrorCode::kPlanSyntax);
    EXPECT_NE(message.find(one.says), std::string::npos) << one.name << ": " << message;
  }
}

TEST_F(ReadFile, RefusesAHugePlanUnread) {
  const auto file = dir.write("huge.yaml", "");
  std::filesystem::resize_file(file, std::uintmax_t{1} << 40);
  const auto message = said(read_plan_file(file), ErrorCode::kPlanTooLarge);
  EXPECT_NE(message.find("8 MiB"), std::string::npos) << message;
}

}  // namespace
}  // namespace sluice
