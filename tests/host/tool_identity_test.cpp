// What tells tools apart that plans name with the same words.
#include "host/resources/tool_identity.h"

#include <gtest/gtest.h>

#include <string>

#include "data/json.h"
#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

Value json(std::string_view text) { return *parse_json(text); }

class ToolIdentity : public testing::Test {
 protected:
  std::string of(std::string_view kind, std::string_view settings, std::string_view folder = "a") {
    return tool_identity(kind, json(settings), dir.path() / folder);
  }
  ScratchDir dir;
};

TEST_F(ToolIdentity, KindSettingsAndFolder) {
  const std::string one = of("sql", R"({"database":"data.db"})");
  EXPECT_EQ(one, of("sql", R"({"database":"data.db"})"));
  EXPECT_NE(one, of("sql", R"({"database":"data.db"})", "b")) << "another data.db";
  EXPECT_NE(one, of("sql", R"({"database":"other.db"})"));
  EXPECT_NE(one, of("table", R"({"database":"data.db"})"));
  EXPECT_EQ(of("http", R"({"url":"http://h/"})"), of("http", R"({"url":"http://h/"})", "b"))
      << "an address is one everywhere";
  EXPECT_NE(of("http", R"({"headers":{"Authorization":"Bearer a"}})"),
            of("http", R"({"headers":{"Authorization":"Bearer b"}})"))
      << "who asks may be told something else";
}

TEST_F(ToolIdentity, SecretsCountAndAreNotTold) {
  const Value key = Value::string("sesame").with_labels({.secret = true});
  const auto identity = tool_identity("http", Value::object({{"key", key}}), dir.path());
  EXPECT_NE(identity,
            tool_identity("http", Value::object({{"key", Value::string("other")}}), dir.path()));
  EXPECT_EQ(identity.find("sesame"), std::string::npos);
  EXPECT_EQ(identity.size(), 64U);
}

TEST_F(ToolIdentity, TheFilesOfAProgram) {
  const char* programs[][2] = {{"process", R"({"command":["./answer.sh"]})"},
                               {"process", R"({"command":["sh","answer.sh"]})"},
                               {"process", R"({"cwd":"..","command":["sh","a/answer.sh"]})"},
                               {"python", R"({"file":"answer.sh"})"},
                               {"mcp", R"({"command":["node","answer.sh"]})"}};
  for (const auto& [kind, settings] : programs) {
    dir.write("a/answer.sh", "echo 1");
    const std::string before = of(kind, settings);
    EXPECT_EQ(before, of(kind, settings)) << settings;
    dir.write("a/answer.sh", "echo 2");
    EXPECT_NE(before, of(kind, settings)) << settings;
    dir.write("a/answer.sh", "echo 1");
    EXPECT_EQ(before, of(kind, settings)) << "what it says counts, not when it was written";
  }
  const std::string large(2 << 20, 'x');
  dir.write("a/large", large);
  const std::string before = of("process", R"({"command":["./large"]})");
  dir.write("a/large", large + "y");
  EXPECT_NE(before, of("process", R"({"command":["./large"]})"));
}

// How long an answer about them stays good is what `ttl` says.
TEST_F(ToolIdentity, NotWhatADatabaseHolds) {
  dir.write("a/data.db", "one");
  const std::string before = of("sql", R"({"database":"data.db"})");
  dir.write("a/data.db", "two");
  EXPECT_EQ(before, of("sql", R"({"database":"data.db"})"));
}

TEST_F(ToolIdentity, AnyTextsAreRead) {
  dir.write("a/x", "x");
  const std::string long_text(10'000, 'x');
  const Value odd =
      Value::object({{"command", Value::array({Value::string(long_text), Value::string(""),
                                               Value::string("."), Value::integer(3)})},
                     {"env", json(R"({"A":{"B":[null,true]}})")}});
  EXPECT_EQ(tool_identity("process", odd, dir.path() / "a").size(), 64U);
}

}  // namespace
}  // namespace sluice
