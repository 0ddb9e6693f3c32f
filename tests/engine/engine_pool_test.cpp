// The pool, prefetch and release through the engine's threads, on a tiny model.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "base/failpoint.h"
#include "base/random.h"
#include "engine/engine.h"
#include "tests/engine/tiny_model.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Reply = Result<ModelReply>;

std::unique_ptr<ModelInstance> open_tiny(EngineOptions options = {}) {
  options.file = test::tiny_model_file();
  options.threads = 1;
  if (options.context_tokens == 0) options.context_tokens = 256;
  if (options.pool_tokens == 0) options.pool_tokens = 768;
  auto engine = open_engine(options);
  EXPECT_TRUE(engine) << engine.error().to_string();
  return engine ? std::move(*engine) : nullptr;
}

ModelRequest question(std::string text, std::uint32_t max_tokens = 8) {
  ModelRequest request;
  request.messages = {{.role = "user", .content = std::move(text)}};
  request.sampling.max_tokens = max_tokens;
  return request;
}

std::future<Reply> start(ModelInstance& engine, ModelRequest request, RequestId* id = nullptr) {
  auto done = std::make_shared<std::promise<Reply>>();
  RequestId given = engine.submit(std::move(request),
                                  {.on_end = [done](Reply r) { done->set_value(std::move(r)); }});
  if (id) *id = given;
  return done->get_future();
}

std::string long_text(int sentences) {
  std::string out;
  for (int i = 0; i < sentences; ++i) out += "Line " + std::to_string(i) + " of the story. ";
  return out;
}

TEST(EnginePoolTest, APrefetchIsComputedBeforeAnybodyAsks) {
  auto engine = open_tiny();
  ModelRequest request;
  request.prompt = {{.text = {.text = long_text(12)}}, {.text = {}, .pending = true}};
  request.hints.program = "run";
  engine->prefetch(request);
  for (int i = 0; i < 2000 && engine_stats(*engine)->kept_cells == 0; ++i) {
    std::this_thread::sleep_for(5ms);
  }
  auto before = *engine_stats(*engine);
  EXPECT_GT(before.prefill_tokens, 80U);
  EXPECT_EQ(before.running + before.waiting, 0U);
  request.prompt[1] = {.text = {.text = " The end?"}};
  request.sampling.max_tokens = 4;
  auto reply = start(*engine, request).get();
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_GT(reply->usage.cached_tokens + 10, reply->usage.prompt_tokens);
  engine->release("run");
  EXPECT_EQ(start(*engine, request).get()->usage.cached_tokens, 0U);
}

TEST(EnginePoolTest, APrefetchThatCannotBeIsNoHarm) {
  auto engine = open_tiny();
  ModelRequest request;
  engine->prefetch(request);
  request.prompt = {{.text = {}, .pending = true}};
  engine->prefetch(request);
  request.prompt = {{.text = {.text = long_text(400)}}};
  engine->prefetch(request);
  EXPECT_TRUE(start(*engine, question("Hello?")).get());
}

TEST(EnginePoolTest, APromptOfAMegabyteIsRefusedWithNumbers) {
  auto engine = open_tiny();
  std::string megabyte;
  while (megabyte.size() < 1'000'000) megabyte += long_text(100);
  auto reply = start(*engine, question(megabyte)).get();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), ErrorCode::kPromptTooLong);
  EXPECT_NE(reply.error().message().find(" 256"), std::string::npos) << reply.error().message();
  EXPECT_TRUE(start(*engine, question("Hello?")).get());
}

TEST(EnginePoolTest, TheStatsTellOfPoolAndHostMemory) {
  auto engine = open_tiny({.pool_tokens = 256, .host_bytes = 1 << 22});
  for (int i = 0; i < 6; ++i) {
    ModelRequest request = question(std::to_string(i) + long_text(8));
    request.hints.program = "p" + std::to_string(i);
    request.hints.returns = true;
    ASSERT_TRUE(start(*engine, request).get());
  }
  auto stats = *engine_stats(*engine);
  EXPECT_EQ(stats.pool_cells, 256U);
  EXPECT_GT(stats.moved_to_host_tokens + stats.dropped_tokens, 0U);
  EXPECT_LE(stats.host_bytes, std::uint64_t{1} << 22);
  EXPECT_LE(stats.used_cells + stats.kept_cells, 256U);
  EXPECT_GT(stats.busy_ns, 0U);
  EXPECT_GT(stats.choice_ns, 0U);
  EXPECT_EQ(stats.masks, 0U) << "nothing was structured";
}

TEST(EnginePoolTest, AnErrorOfTheEngineIsOneThatCanBeRetried) {
  auto engine = open_tiny();
  {
    FailpointScope scope(Failpoint::kDecodeFails);
    auto reply = start(*engine, question("Hello?")).get();
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code(), ErrorCode::kDecodeFailed);
    EXPECT_TRUE(reply.error().retryable());
  }
  EXPECT_TRUE(start(*engine, question("Hello?")).get());
}

// Clients on several threads that ask, leave and come back, and an engine that ends under load.
TEST(EnginePoolTest, ManyClientsThatComeAndGo) {
  auto engine = open_tiny({.pool_tokens = 512, .host_bytes = 1 << 20});
  std::vector<std::thread> clients;
  std::atomic<int> through = 0;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      Random random(static_cast<std::uint64_t>(c));
      std::vector<std::future<Reply>> open;
      for (int i = 0; i < 25; ++i) {
        ModelRequest request =
            question(long_text(static_cast<int>(random.below(8))) + std::to_string(random.below(4)),
                     1 + static_cast<std::uint32_t>(random.below(12)));
        request.hints = {.program = "c" + std::to_string(c),
                         .tenant = "t" + std::to_string(c % 2),
                         .priority = static_cast<std::int32_t>(random.below(2)),
                         .returns = random.below(2) == 0};
        RequestId id = 0;
        open.push_back(start(*engine, request, &id));
        if (random.below(5) == 0) engine->cancel(id);
        if (random.below(6) == 0) engine->prefetch(request);
        if (random.below(9) == 0) engine->release(request.hints.program);
        if (random.below(3) == 0) open.back().wait();
      }
      for (auto& future : open) {
        auto reply = future.get();
        if (!reply) EXPECT_EQ(reply.error().code(), ErrorCode::kCancelled);
        through += 1;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(through, 100);
  std::vector<std::future<Reply>> last;
  for (int i = 0; i < 30; ++i) last.push_back(start(*engine, question(long_text(6), 200)));
  engine.reset();
  for (auto& future : last) ASSERT_EQ(future.wait_for(0s), std::future_status::ready);
}

}  // namespace
}  // namespace sluice
