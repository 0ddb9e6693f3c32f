// `sluice models calibrate` and `prepare` as a person calls them, with a model that is tiny, and
// the preparation that a run begins in the background.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "data/json.h"
#include "engine/calibrate.h"
#include "engine/model_file.h"
#include "tests/engine/tiny_model.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

struct Done {
  int exit_code = -1;
  std::string text;
};

class ModelsCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* program = std::getenv("SLUICE_BIN");
    if (program == nullptr || !fs::exists(program)) GTEST_SKIP() << "SLUICE_BIN is no program";
    program_ = program;
    folder_ = fs::temp_directory_path() / ("sluice-models-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "cache");
    model_ = folder_ / "tiny.gguf";
    fs::copy_file(test::tiny_model_file(), model_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // `streams`: behind the command, for the shell.
  Done sluice(const std::string& arguments, const std::string& environment = "",
              const std::string& streams = "2>/dev/null") const {
    std::string line = "cd " + folder_.string() + " && SLUICE_CACHE=" + folder_.string() +
                       "/cache SLUICE_MODEL=" + model_.string() + " " + environment + " " +
                       program_ + " " + arguments + " " + streams;
    Done done;
    FILE* pipe = ::popen(line.c_str(), "r");
    if (pipe == nullptr) return done;
    std::array<char, 4096> buffer{};
    for (std::size_t got; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
      done.text.append(buffer.data(), got);
    }
    int status = ::pclose(pipe);
    done.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return done;
  }

  std::size_t prepared(std::string_view ending) const {
    std::size_t count = 0;
    std::error_code ignored;
    for (const auto& entry :
         fs::directory_iterator(folder_ / "cache" / "models" / "prepared", ignored)) {
      count += entry.path().string().ends_with(ending) ? 1U : 0U;
    }
    return count;
  }

  // With the lowest priority it may take long on a busy machine. True: there was one.
  bool end_preparation() const {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
      std::ifstream in(entry.path() / "cmdline", std::ios::binary);
      std::string words{std::istreambuf_iterator<char>(in), {}};
      if (words.find("--background") == std::string::npos ||
          words.find(model_.string()) == std::string::npos) {
        continue;
      }
      return ::kill(std::stoi(entry.path().filename().string()), SIGKILL) == 0;
    }
    return false;
  }

  std::string program_;
  fs::path folder_;
  fs::path model_;
};

TEST_F(ModelsCommandTest, CalibrateKeepsWhatTheEngineReads) {
  Done done = sluice("models calibrate --workers 1 --json");
  ASSERT_EQ(done.exit_code, 0) << done.text;
  auto said = parse_json(done.text);
  ASSERT_TRUE(said) << done.text;
  CalibrationOptions options{.threads = 1};
  auto kept = read_calibration(
      calibration_file(folder_ / "cache/calibration", *hash_file(model_), options));
  ASSERT_TRUE(kept);
  EXPECT_EQ(*said->find("cost"), kept->to_json());
  Done table = sluice("models calibrate tiny.gguf --workers 1");
  EXPECT_NE(table.text.find("tokens in a batch"), std::string::npos) << table.text;
}

TEST_F(ModelsCommandTest, PrepareWritesAFormatAndSaysHowToUseIt) {
  Done done = sluice("models prepare --format f16 --workers 1", "", "2>&1");
  ASSERT_EQ(done.exit_code, 0) << done.text;
  for (const char* part : {"measuring as-is", "writing f16", "prompt tokens/s", "KL 0.0",
                           "used where SLUICE_WEIGHTS=f16"}) {
    EXPECT_NE(done.text.find(part), std::string::npos) << part << "\n" << done.text;
  }
  EXPECT_EQ(prepared("-f16.gguf"), 1U);
  Done again = sluice("models prepare --format f16 --json");
  auto said = parse_json(again.text);
  ASSERT_TRUE(said) << again.text;
  EXPECT_EQ(said->find("format")->as_string(), "f16");
}

TEST_F(ModelsCommandTest, WrongWordsAreSaid) {
  EXPECT_EQ(sluice("models prepare --format q5_1").exit_code, 3);
  EXPECT_EQ(sluice("models prepare --for ever").exit_code, 3);
  Done missing = sluice("models prepare missing.gguf", "", "2>&1");
  EXPECT_NE(missing.exit_code, 0);
  EXPECT_NE(missing.text.find("missing.gguf"), std::string::npos);
  Done server = sluice("models calibrate http://127.0.0.1:1/v1", "", "2>&1");
  EXPECT_NE(server.exit_code, 0);
  EXPECT_NE(server.text.find("takes a GGUF file"), std::string::npos) << server.text;
}

TEST_F(ModelsCommandTest, ARunBeginsThePreparationOnceWhereItIsAskedFor) {
  std::ofstream(folder_ / "plan.yaml")
      << "sluice: 1\nsteps:\n  a: {llm: default, with: {prompt: Hi, max_tokens: 1}}\n"
         "result: \"{{ steps.a.output }}\"\n";
  const std::string run = "run plan.yaml --workers 1 --journal journal.db";
  EXPECT_EQ(sluice(run, "SLUICE_WEIGHTS=", "2>&1").text.find("weight format"), std::string::npos)
      << "nobody reads it and nobody asked";
  Done off = sluice(run, "SLUICE_WEIGHTS=as-is", "2>&1");
  EXPECT_EQ(off.exit_code, 0) << off.text;
  EXPECT_EQ(prepared(".begun"), 0U);

  Done first = sluice(run, "SLUICE_WEIGHTS=auto", "2>&1");
  EXPECT_NE(first.text.find("weight format of tiny.gguf"), std::string::npos) << first.text;
  Done second = sluice(run, "SLUICE_WEIGHTS=auto", "2>&1");
  EXPECT_EQ(second.text.find("weight format"), std::string::npos) << second.text;
  EXPECT_EQ(prepared(".begun"), 1U);
  EXPECT_TRUE(end_preparation() || prepared("-throughput.json") == 1);
}

}  // namespace
}  // namespace sluice
