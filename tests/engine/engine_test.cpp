// What only the embedded engine does: batching, sharing, determinism, its own limits and files.
#include "engine/engine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>

#include "data/json.h"

namespace sluice {
namespace {

using Reply = Result<ModelReply>;

std::unique_ptr<ModelInstance> open_small(EngineOptions options = {}) {
  options.file = std::getenv("SLUICE_TEST_MODEL");
  if (options.context_tokens == 0) options.context_tokens = 1024;
  auto engine = open_engine(options);
  EXPECT_TRUE(engine) << engine.error().to_string();
  return engine ? std::move(*engine) : nullptr;
}

ModelInstance& shared_engine() {
  static auto engine = open_small();
  return *engine;
}

std::future<Reply> start(ModelInstance& engine, ModelRequest request) {
  auto done = std::make_shared<std::promise<Reply>>();
  engine.submit(std::move(request), {.on_end = [done](Reply r) { done->set_value(std::move(r)); }});
  return done->get_future();
}

ModelRequest question(std::string text, std::uint32_t max_tokens) {
  ModelRequest request;
  request.messages = {{.role = "user", .content = std::move(text)}};
  request.sampling.max_tokens = max_tokens;
  return request;
}

TEST(EngineTest, DescribesTheModel) {
  const ModelInfo& info = shared_engine().info();
  EXPECT_TRUE(info.embedded);
  EXPECT_TRUE(info.has_chat_template);
  EXPECT_EQ(info.context_tokens, 1024U);
  EXPECT_EQ(info.file_hash.size(), 64U);
  EXPECT_NE(info.description.find("1024 tokens"), std::string::npos) << info.description;
}

TEST(EngineTest, ManyRequestsDecodeInOneBatch) {
  auto engine = open_small();
  std::vector<std::future<Reply>> all;
  for (int i = 0; i < 16; ++i) {
    all.push_back(start(*engine, question("Tell a story about " + std::to_string(i), 16)));
  }
  for (auto& future : all) ASSERT_TRUE(future.get());
  auto stats = engine_stats(*engine);
  ASSERT_TRUE(stats);
  EXPECT_GE(stats->decode_tokens, 16U * 10);
  EXPECT_LE(stats->batches, 40U) << "16 requests of 16 tokens one by one would be 256";
  EXPECT_EQ(stats->running, 0U);
  EXPECT_EQ(stats->waiting, 0U);
}

TEST(EngineTest, ALongPrefixIsComputedOnce) {
  auto engine = open_small();
  std::string examples;
  for (int i = 0; i < 30; ++i) examples += "Example " + std::to_string(i) + " is good. ";
  std::vector<std::future<Reply>> all;
  for (int i = 0; i < 8; ++i) {
    ModelRequest request = question("Question " + std::to_string(i), 4);
    request.messages.insert(request.messages.begin(), {.role = "system", .content = examples});
    all.push_back(start(*engine, request));
  }
  std::uint64_t prompt = 0;
  std::uint64_t cached = 0;
  for (auto& future : all) {
    auto reply = future.get();
    ASSERT_TRUE(reply) << reply.error().to_string();
    prompt += reply->usage.prompt_tokens;
    cached += reply->usage.cached_tokens;
  }
  EXPECT_GT(cached, prompt * 7 / 10) << "seven of eight take the examples from the first";
  auto stats = *engine_stats(*engine);
  EXPECT_EQ(stats.shared_tokens, cached);
  EXPECT_EQ(stats.prefill_tokens, prompt - cached);
  // Later, when nothing runs, the prefix is still there.
  ModelRequest later = question("Later", 4);
  later.messages.insert(later.messages.begin(), {.role = "system", .content = examples});
  auto reply = start(*engine, later).get();
  ASSERT_TRUE(reply);
  EXPECT_GT(reply->usage.cached_tokens, reply->usage.prompt_tokens / 2);
}

TEST(EngineTest, ASmallPoolServesManyRequestsInTurns) {
  auto engine = open_small({.context_tokens = 256, .pool_tokens = 512});
  std::vector<std::future<Reply>> all;
  for (int i = 0; i < 12; ++i) {
    ModelRequest request = question("Tell me about " + std::to_string(i * 37), 100);
    request.sampling.max_tokens = i % 3 == 0 ? 60 : 10;
    all.push_back(start(*engine, request));
  }
  for (auto& future : all) {
    auto reply = future.get();
    EXPECT_TRUE(reply) << reply.error().to_string();
  }
}

TEST(EngineTest, DeterministicTextIsTheSameWhateverElseRuns) {
  ModelInstance& engine = shared_engine();
  ModelRequest request = question("Invent a name for a boat and explain it.", 24);
  request.deterministic = true;
  request.sampling.temperature = 1.5;
  request.sampling.seed = 11;
  auto alone = start(engine, request).get();
  ASSERT_TRUE(alone) << alone.error().to_string();
  std::vector<std::future<Reply>> noise;
  std::vector<std::future<Reply>> again;
  for (int i = 0; i < 6; ++i) {
    noise.push_back(start(engine, question("Noise " + std::to_string(i), 20)));
    if (i % 2 == 0) again.push_back(start(engine, request));
  }
  for (auto& future : again) {
    auto reply = future.get();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->text, alone->text);
    EXPECT_EQ(reply->usage.cached_tokens, 0U);
  }
  for (auto& future : noise) EXPECT_TRUE(future.get());
}

TEST(EngineTest, ARegexIsEnforced) {
  struct Case {
    const char* pattern;
    std::size_t length;
  };
  for (auto [pattern, length] : {Case{"[0-9]{4}-[0-9]{2}", 7}, Case{"yes|no!", 3}}) {
    ModelRequest request = question("When was it?", 30);
    request.regex = pattern;
    auto reply = start(shared_engine(), request).get();
    ASSERT_TRUE(reply) << reply.error().to_string();
    EXPECT_EQ(reply->text.size(), length) << reply->text;
  }
  ModelRequest request = question("When was it?", 3);
  request.regex = "[a-z]{40}[0-9]{30}";
  auto reply = start(shared_engine(), request).get();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), ErrorCode::kOutputTruncated);
  request.regex = "(unclosed";
  reply = start(shared_engine(), request).get();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), ErrorCode::kValueInvalid) << reply.error().to_string();
}

TEST(EngineTest, SchemasThatLeaveThingsOpenStillGiveValidOutput) {
  std::vector<std::pair<SchemaPtr, std::future<Reply>>> all;
  for (std::string_view text :
       {R"({"type":"object"})", "true", "{}", R"({"type":"number"})",
        R"({"type":"object","properties":{"a":{"type":"string","maxLength":5}},
            "required":["a"]})",
        R"({"type":"object","additionalProperties":{"type":"integer"},"maxProperties":2})",
        R"({"type":"string","pattern":"^[a-z]{3}$"})",
        R"({"$ref":"#/$defs/t","$defs":{"t":{"type":"object","required":["v"],
            "properties":{"v":{"type":"boolean"}},"additionalProperties":false}}})"}) {
    ModelRequest request = question("Give me some JSON.", 40);
    auto compiled = Schema::compile(*parse_json(text));
    if (!compiled.schema) continue;  // outside the subset: such a plan is refused
    request.output = compiled.schema;
    all.emplace_back(compiled.schema, start(shared_engine(), request));
  }
  EXPECT_GE(all.size(), 6U);
  for (auto& [schema, future] : all) {
    auto reply = future.get();
    if (reply) {
      EXPECT_TRUE(schema->valid(reply->json)) << reply->text;
    } else {
      EXPECT_EQ(reply.error().code(), ErrorCode::kOutputTruncated) << reply.error().to_string();
    }
  }
}

TEST(EngineTest, RefusesWhatItCannotDo) {
  struct Case {
    const char* name;
    std::function<void(ModelRequest&)> change;
  };
  std::vector<Case> cases{{"role", [](auto& r) { r.messages[0].role = "wizard"; }},
                          {"both", [](auto& r) { r.prompt = {{.text = {.text = "x"}}}; }},
                          {"pending",
                           [](auto& r) {
                             r.messages.clear();
                             r.prompt = {{.text = {}, .pending = true}};
                           }},
                          {"temperature", [](auto& r) { r.sampling.temperature = -1; }},
                          {"top_p", [](auto& r) { r.sampling.top_p = 0; }},
                          {"no tokens", [](auto& r) { r.sampling.max_tokens = 0; }},
                          {"regex and schema", [](auto& r) {
                             r.regex = "a";
                             r.output = Schema::literal("true");
                           }}};
  for (const Case& test : cases) {
    ModelRequest request = question("Hi", 4);
    test.change(request);
    auto reply = start(shared_engine(), request).get();
    ASSERT_FALSE(reply) << test.name;
    EXPECT_EQ(reply.error().code(), ErrorCode::kModelRefused) << test.name;
  }
}

TEST(EngineTest, AFullQueueRefusesAtOnce) {
  auto engine = open_small({.queue_limit = 4});
  std::vector<std::future<Reply>> all;
  for (int i = 0; i < 10; ++i) all.push_back(start(*engine, question("Essay.", 20)));
  int refused = 0;
  for (auto& future : all) {
    auto reply = future.get();
    if (!reply) EXPECT_EQ(reply.error().code(), ErrorCode::kModelOverloaded);
    refused += reply ? 0 : 1;
  }
  EXPECT_GE(refused, 1);
  EXPECT_TRUE(start(*engine, question("Now?", 2)).get());
}

TEST(EngineTest, AProgramThatIsReleasedLosesItsPrefix) {
  auto engine = open_small();
  ModelRequest request =
      question("What is a long question that is worth keeping, would you say?", 2);
  request.hints.program = "run1";
  ASSERT_TRUE(start(*engine, request).get());
  EXPECT_GT(start(*engine, request).get()->usage.cached_tokens, 0U);
  engine->release("run1");
  EXPECT_EQ(start(*engine, request).get()->usage.cached_tokens, 0U);
}

TEST(EngineTest, FilesThatAreNoModels) {
  auto folder =
      std::filesystem::temp_directory_path() / ("sluice-engine-test-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  auto write = [&](const char* name, std::string_view bytes) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
    return folder / name;
  };
  struct Case {
    std::filesystem::path file;
    ErrorCode code;
    const char* words;
  };
  std::vector<Case> cases{
      {folder / "absent.gguf", ErrorCode::kFileUnreadable, "no such file"},
      {folder, ErrorCode::kFileUnreadable, "not a plain file"},
      {write("empty.gguf", ""), ErrorCode::kModelLoad, "is empty"},
      {write("page.gguf", "<!DOCTYPE html><html>"), ErrorCode::kModelLoad, "HTML"},
      {write("paper.gguf", "%PDF-1.7 ..."), ErrorCode::kModelLoad, "PDF"},
      {write("pointer.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:1"),
       ErrorCode::kModelLoad, "git lfs pull"},
      {write("text.gguf", "hello there"), ErrorCode::kModelLoad, "not a GGUF"},
      {write("short.gguf", "GGUF"), ErrorCode::kModelLoad, "cannot be loaded"},
      {write("cut.gguf", std::string("GGUF\3\0\0\0", 8) + std::string(64, '\7')),
       ErrorCode::kModelLoad, "cannot be loaded"}};
  std::string head(200'000, '\0');
  std::ifstream(std::getenv("SLUICE_TEST_MODEL"), std::ios::binary).read(head.data(), 200'000);
  cases.push_back({write("half.gguf", head), ErrorCode::kModelLoad, "cannot be loaded"});
  for (const Case& test : cases) {
    auto engine = open_engine({.file = test.file});
    ASSERT_FALSE(engine) << test.file;
    EXPECT_EQ(engine.error().code(), test.code) << engine.error().to_string();
    EXPECT_NE(engine.error().message().find(test.words), std::string::npos)
        << engine.error().to_string();
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice
