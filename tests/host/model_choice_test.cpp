#include "host/resources/model_choice.h"

#include <gtest/gtest.h>

#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

TEST(ModelChoice, TellsFilesFromServers) {
  auto file = parse_model_location("~/m.gguf", "");
  EXPECT_TRUE(file.embedded);
  auto server = parse_model_location("http://h:1/v1#big", "");
  EXPECT_FALSE(server.embedded);
  EXPECT_EQ(server.url, "http://h:1/v1");
  EXPECT_EQ(server.name, "big");
  EXPECT_EQ(parse_model_location("https://h/v1#big", "other").name, "other");
}

class ChooseDefault : public testing::Test {
 protected:
  std::string refused() {
    auto chosen = choose_default_model(preferences);
    EXPECT_FALSE(chosen.has_value());
    if (chosen) return "";
    EXPECT_EQ(chosen.error().code(), ErrorCode::kModelLoad);
    return chosen.error().message();
  }
  ScratchDir dir;
  ModelPreferences preferences{"", "", {}, dir.path()};
};

TEST_F(ChooseDefault, SaysHowToGetOne) {
  const std::string said = refused();
  EXPECT_NE(said.find("make demo"), std::string::npos) << said;
  EXPECT_NE(said.find("--model"), std::string::npos) << said;
}

TEST_F(ChooseDefault, TakesTheCommandLineThenTheEnvironmentThenTheCache) {
  auto cached = dir.write("models/cached.gguf", "GGUF....");
  EXPECT_EQ(choose_default_model(preferences)->file, cached);
  auto other = dir.write("other.gguf", "GGUF....");
  preferences.environment = other.string();
  EXPECT_EQ(choose_default_model(preferences)->file, other);
  preferences.location = "http://127.0.0.1:1/v1";
  EXPECT_FALSE(choose_default_model(preferences)->embedded);
}

TEST_F(ChooseDefault, DoesNotGuessBetweenTwo) {
  dir.write("models/a.gguf", "GGUF");
  dir.write("models/b.gguf", "GGUF");
  const std::string said = refused();
  EXPECT_NE(said.find("a.gguf"), std::string::npos) << said;
  EXPECT_NE(said.find("b.gguf"), std::string::npos) << said;
}

TEST_F(ChooseDefault, RefusesWhatIsNoModel) {
  dir.write("real.gguf", "GGUF");
  preferences.location = dir.write("text.gguf", "hello").string();
  EXPECT_NE(refused().find("not a GGUF model file"), std::string::npos);
  preferences.location = (dir.path() / "reel.gguf").string();
  EXPECT_NE(refused().find("did you mean"), std::string::npos);
  preferences.location = dir.path().string();
  EXPECT_NE(refused().find("is a directory"), std::string::npos);
  preferences.location = dir.write("short.gguf", "GG").string();
  EXPECT_NE(refused().find("not a GGUF model file"), std::string::npos);
}

}  // namespace
}  // namespace sluice
