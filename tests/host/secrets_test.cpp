#include "host/resources/secrets.h"

#include <gtest/gtest.h>

#include "data/json.h"
#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

class Secrets : public testing::Test {
 protected:
  Result<Value> resolve(std::string_view settings) {
    SecretSources sources;
    sources.environment = [](const std::string& name) -> std::optional<std::string> {
      if (name == "TOKEN") return "tok-12345\n";
      return std::nullopt;
    };
    sources.work_dir = dir.path();
    return resolve_secrets(*parse_json(settings), "tool pay", sources, redactor);
  }
  ScratchDir dir;
  Redactor redactor;
};

TEST_F(Secrets, ComeFromTheEnvironmentAndFiles) {
  dir.write("key.txt", "from-a-file\n");
  auto settings =
      resolve(R"({"url":"u","key":{"env":"TOKEN"},"headers":{"X":{"file":"key.txt"}}})");
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->find("key")->as_string(), "tok-12345") << "the line's end is not part of it";
  EXPECT_TRUE(settings->find("key")->labels().secret);
  EXPECT_EQ(settings->find("headers")->find("X")->as_string(), "from-a-file");
  EXPECT_EQ(to_json(*settings), R"({"url":"u","key":"[secret]","headers":{"X":"[secret]"}})");
}

TEST_F(Secrets, SayWhatToSet) {
  auto settings = resolve(R"({"key":{"env":"NOPE"}})");
  ASSERT_FALSE(settings.has_value());
  EXPECT_EQ(settings.error().code(), ErrorCode::kSettingInvalid);
  EXPECT_NE(settings.error().message().find("export NOPE="), std::string::npos);
  EXPECT_NE(settings.error().message().find("tool pay.key"), std::string::npos);
  settings = resolve(R"({"key":{"file":"nope.txt"}})");
  ASSERT_FALSE(settings.has_value());
  EXPECT_NE(settings.error().message().find("nope.txt"), std::string::npos);
}

TEST_F(Secrets, LeaveSchemasAndOtherMapsAlone) {
  const char* text =
      R"({"functions":{"f":{"input":{"properties":{"env":"TOKEN"}}}},"env":{"A":"b"},"x":{"env":"TOKEN","y":1}})";
  auto settings = resolve(text);
  ASSERT_TRUE(settings.has_value()) << settings.error().message();
  EXPECT_EQ(to_json(*settings), text);
}

TEST_F(Secrets, AreTakenOutOfText) {
  ASSERT_TRUE(resolve(R"({"key":{"env":"TOKEN"}})").has_value());
  EXPECT_EQ(redactor.clean("GET /?k=tok-12345&k=tok-12345 failed"),
            "GET /?k=[secret]&k=[secret] failed");
  EXPECT_EQ(redactor.clean("nothing here"), "nothing here");
}

TEST(RedactorTest, TakesTheLongestFirstAndIgnoresTheShort) {
  Redactor redactor;
  redactor.learn("abcd");
  redactor.learn("abcdefgh");
  redactor.learn("no");
  redactor.learn("");
  EXPECT_EQ(redactor.clean("abcdefgh abcd no"), "[secret] [secret] no");
}

}  // namespace
}  // namespace sluice
