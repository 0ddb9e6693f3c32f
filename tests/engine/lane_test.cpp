// A lane by itself, step by step: more requests than the pool holds, preemption, kept prefixes,
// host memory, and llama_decode failing in every way. On a tiny model: what happens matters, not
// what is said.
#include "engine/lane.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "base/failpoint.h"
#include "engine/request_preparer.h"
#include "tests/engine/tiny_model.h"

namespace sluice {
namespace {

struct TinyModel {
  ModelHandle model;
  std::unique_ptr<Vocabulary> vocabulary;
  TinyModel() {
    auto loaded = load_model(test::tiny_model_file());
    if (!loaded) throw std::runtime_error(loaded.error().to_string());
    model = std::move(*loaded);
    vocabulary = std::make_unique<Vocabulary>(model.get());
  }
};

TinyModel& tiny() {
  static TinyModel model;
  return model;
}

struct Ask {
  std::string prompt;
  std::uint32_t max_tokens = 8;
  ProgramHints hints;
};

// Different words for different numbers, about two tokens each.
std::string words(std::uint32_t count, std::uint32_t from) {
  static constexpr const char* kWords[] = {"red",  "blue",  "tree", "house", "river", "stone",
                                           "bird", "glass", "wind", "paper", "night", "road"};
  std::string out;
  for (std::uint32_t i = 0; i < count; ++i) {
    from = from * 1'664'525U + 1'013'904'223U;
    out += fmt::format("{}{}", out.empty() ? "" : " ", kWords[(from >> 16) % 12]);
  }
  return out;
}

// Stands still until it is moved, and can do something at a moment that only the lane knows.
class TestClock final : public Clock {
 public:
  SteadyNs steady_ns() const override {
    if (asks_left_ > 0 && --asks_left_ == 0) then_();
    return now_ns_;
  }
  WallNs wall_ns() const override { return now_ns_; }
  void advance_ns(SteadyNs ns) { now_ns_ += ns; }
  void on_ask(int asks, std::function<void()> then) {
    asks_left_ = asks;
    then_ = std::move(then);
  }

 private:
  SteadyNs now_ns_ = kNsPerSecond;
  mutable int asks_left_ = 0;
  std::function<void()> then_;
};

class LaneTest : public testing::Test {
 protected:
  explicit LaneTest() : preparer_(*tiny().vocabulary, nullptr, 512, false, true) {}

  void open(LaneOptions options) {
    options.threads = 1;
    options.clock = &clock_;
    if (options.pool_tokens == 0) options.pool_tokens = 512;
    options.batch_tokens = 256;
    options.arrivals = &arrivals_;
    auto lane =
        Lane::open(tiny().model.get(), *tiny().vocabulary, options, counters_, [](RequestId) {});
    ASSERT_TRUE(lane) << lane.error().to_string();
    lane_ = std::move(*lane);
  }

  std::unique_ptr<Generation> prepared(const Ask& ask, RequestId id, ModelCallbacks callbacks) {
    ModelRequest request;
    request.prompt = {{.text = {.text = ask.prompt}}};
    request.sampling.max_tokens = ask.max_tokens;
    request.hints = ask.hints;
    auto out = preparer_.prepare(request, id, std::move(callbacks), clock_.steady_ns());
    if (!out) throw std::runtime_error(out.error().to_string());
    return std::make_unique<Generation>(std::move(*out));
  }

  RequestId add(const Ask& ask) {
    RequestId id = ++next_id_;
    lane_->add(prepared(ask, id,
                        {.on_end =
                             [this, id](Result<ModelReply> reply) {
                               EXPECT_FALSE(ended_.contains(id)) << "a request ends once";
                               ended_.emplace(id, std::move(reply));
                             }}),
               clock_.steady_ns());
    return id;
  }
  void prefetch(const Ask& ask) {
    ModelRequest request;
    request.prompt = {{.text = {.text = ask.prompt}}, {.text = {}, .pending = true}};
    request.hints = ask.hints;
    auto out = preparer_.prepare_prefetch(request, ++next_id_, clock_.steady_ns());
    ASSERT_TRUE(out) << out.error().to_string();
    lane_->add(std::make_unique<Generation>(std::move(*out)), clock_.steady_ns());
  }

  Lane::Step step() {
    clock_.advance_ns(kNsPerMs);
    Lane::Step out = lane_->step(clock_.steady_ns());
    EXPECT_TRUE(lane_->consistent());
    return out;
  }
  // Until all have ended; each step must do something.
  void run() {
    for (int steps = 0; !lane_->empty(); ++steps) {
      Lane::Step out = step();
      ASSERT_TRUE(out.worked || out.again_ns) << "it would wait for ever";
      ASSERT_LT(steps, 100'000);
      if (testing::Test::HasFailure()) return;
    }
  }
  const Result<ModelReply>& reply(RequestId id) { return ended_.at(id); }
  std::string text(RequestId id) {
    auto& found = reply(id);
    EXPECT_TRUE(found) << found.error().to_string();
    return found ? found->text : "";
  }
  // What a request says that has the lane for itself.
  std::string text_alone(const Ask& ask) {
    RequestId id = add(ask);
    run();
    return text(id);
  }

  TestClock clock_;
  Arrivals arrivals_;
  EngineCounters counters_;
  RequestPreparer preparer_;
  std::unique_ptr<Lane> lane_;
  std::map<RequestId, Result<ModelReply>> ended_;
  RequestId next_id_ = 0;
};

TEST_F(LaneTest, ThreeHundredSessionsOverAPoolForTen) {
  open({.pool_tokens = 768, .host_bytes = 1 << 20});
  struct Session {
    std::string text;
    RequestId request = 0;
    int turns = 0;
  };
  std::vector<Session> sessions(300);
  auto say = [&](std::size_t i) {
    Session& session = sessions[i];
    session.text += " " + words(20, static_cast<std::uint32_t>(i * 10 + session.turns));
    session.request = add({.prompt = session.text,
                           .max_tokens = 6,
                           .hints = {.program = fmt::format("s{}", i), .returns = true}});
    session.turns += 1;
  };
  for (std::size_t i = 0; i < sessions.size(); ++i) say(i);
  std::size_t done = 0;
  for (int steps = 0; done < sessions.size() && steps < 20'000; ++steps) {
    step();
    ASSERT_FALSE(HasFailure());
    done = 0;
    for (std::size_t i = 0; i < sessions.size(); ++i) {
      if (!ended_.contains(sessions[i].request)) continue;
      ASSERT_TRUE(reply(sessions[i].request)) << reply(sessions[i].request).error().to_string();
      if (sessions[i].turns == 2) {
        ++done;
      } else {
        sessions[i].text += reply(sessions[i].request)->text;
        say(i);
      }
    }
  }
  EXPECT_EQ(done, sessions.size());
  EXPECT_GT(counters_.moved_to_host_tokens, 0U);
}

TEST_F(LaneTest, APoolThatFitsOneRequestServesAll) {
  open({.pool_tokens = 256, .host_bytes = 1 << 20});
  std::vector<RequestId> all;
  for (std::uint32_t i = 0; i < 12; ++i) {
    all.push_back(add({.prompt = words(100, i), .max_tokens = 60}));
  }
  run();
  for (RequestId id : all) {
    ASSERT_TRUE(reply(id)) << reply(id).error().to_string();
    EXPECT_EQ(reply(id)->usage.completion_tokens, 60U);
  }
}

// As for recurrent models, whose sequences cannot be copied or cut: who is preempted begins anew.
TEST_F(LaneTest, ALaneThatSharesNothingServesAllToo) {
  open({.pool_tokens = 256, .max_running = 6, .share = false, .host_bytes = 1 << 20});
  std::vector<RequestId> all;
  for (std::uint32_t i = 0; i < 10; ++i) {
    all.push_back(add({.prompt = words(30, i % 2),
                       .max_tokens = 60,
                       .hints = {.expected_tokens = 2, .returns = true}}));
  }
  run();
  for (RequestId id : all) {
    ASSERT_TRUE(reply(id)) << reply(id).error().to_string();
    EXPECT_EQ(reply(id)->usage.cached_tokens, 0U);
    EXPECT_EQ(text(id), text(all[id % 2 == all[0] % 2 ? 0 : 1])) << "equal prompts, equal texts";
  }
  EXPECT_GT(counters_.preemptions, 0U);
  EXPECT_EQ(counters_.moved_to_host_tokens, 0U);
}

TEST_F(LaneTest, WhoIsPreemptedSaysTheSame) {
  std::vector<Ask> asks;
  for (std::uint32_t i = 0; i < 14; ++i) {
    // They say that they will be short, and are not.
    asks.push_back({.prompt = words(12 + i, i), .max_tokens = 70, .hints = {.expected_tokens = 2}});
  }
  std::vector<std::string> alone;
  open({.pool_tokens = 512});
  for (const Ask& ask : asks) alone.push_back(text_alone(ask));
  ASSERT_EQ(counters_.preemptions, 0U);
  for (std::uint64_t host_bytes : {0, 1 << 22}) {
    open({.pool_tokens = 512, .host_bytes = host_bytes});
    std::vector<RequestId> all;
    for (const Ask& ask : asks) all.push_back(add(ask));
    run();
    std::size_t equal = 0;
    for (std::size_t i = 0; i < asks.size(); ++i) equal += text(all[i]) == alone[i] ? 1 : 0;
    EXPECT_GT(counters_.preemptions, 0U);
    EXPECT_GE(equal, asks.size() - 2) << "but for near ties";
    EXPECT_EQ(host_bytes > 0, counters_.copied_back_tokens > 0);
  }
}

// Whatever the policies decide, a greedy text is that of the request alone, but for near ties.
TEST_F(LaneTest, TextsDoNotDependOnThePolicies) {
  std::vector<Ask> asks;
  for (std::uint32_t i = 0; i < 10; ++i) {
    asks.push_back({.prompt = words(25, i % 4) + " " + words(10 + i, i),
                    .max_tokens = 30,
                    .hints = {.program = fmt::format("p{}", i % 5),
                              .tenant = fmt::format("t{}", i % 2),
                              .rank = i % 3,
                              .deadline_ns = (20 - i) * kNsPerSecond,
                              .expected_tokens = 5 + i}});
  }
  std::vector<std::string> alone;
  open({.pool_tokens = 512});
  for (const Ask& ask : asks) alone.push_back(text_alone(ask));
  std::size_t equal = 0;
  std::size_t all = 0;
  const std::vector<PolicyNames> policies{{"program", "cost", "expected", "cost", "service"},
                                          {"program", "fixed", "worst_case", "drop", "none"},
                                          {"arrival", "cost", "worst_case", "recent", "service"},
                                          {"arrival", "fixed", "expected", "cost", "none"},
                                          {"deadline", "cost", "expected", "recent", "service"},
                                          {"deadline", "fixed", "worst_case", "cost", "service"},
                                          {"sharing", "cost", "expected", "drop", "none"},
                                          {"sharing", "fixed", "expected", "cost", "service"}};
  for (const PolicyNames& names : policies) {
    LaneOptions options{.pool_tokens = 256, .host_bytes = 1 << 20};
    options.policies.names = names;
    open(options);
    std::vector<RequestId> ids;
    for (const Ask& ask : asks) ids.push_back(add(ask));
    run();
    for (std::size_t i = 0; i < ids.size(); ++i) equal += text(ids[i]) == alone[i] ? 1 : 0;
    all += ids.size();
  }
  RecordProperty("equal", fmt::format("{} of {}", equal, all));
  EXPECT_GE(equal * 100, all * 95) << equal << " of " << all;
  EXPECT_GT(counters_.preemptions + counters_.copied_back_tokens, 0U);
}

TEST_F(LaneTest, AHigherPriorityNeedNotWaitForTheLongOnes) {
  open({.pool_tokens = 256});
  std::vector<RequestId> low;
  for (std::uint32_t i = 0; i < 3; ++i) {
    low.push_back(add({.prompt = words(20, i), .max_tokens = 150}));
  }
  for (int i = 0; i < 4; ++i) step();
  RequestId high = add({.prompt = words(60, 9), .max_tokens = 10, .hints = {.priority = 5}});
  while (!ended_.contains(high) && !lane_->empty()) step();
  std::size_t before =
      std::ranges::count_if(low, [&](RequestId id) { return ended_.contains(id); });
  EXPECT_LE(before, 1U);
  run();
  for (RequestId id : low) EXPECT_EQ(reply(id)->usage.completion_tokens, 150U);
}

TEST_F(LaneTest, APrefetchedPromptIsThereWhenTheRequestComes) {
  open({.pool_tokens = 512, .host_bytes = 1 << 20});
  std::string prompt = words(80, 1);
  prefetch({.prompt = prompt, .hints = {.program = "p"}});
  run();
  EXPECT_GE(counters_.prefill_tokens, 80U);
  RequestId id = add({.prompt = prompt + " and then?", .hints = {.program = "p"}});
  run();
  ASSERT_TRUE(reply(id));
  EXPECT_GE(reply(id)->usage.cached_tokens + 8, reply(id)->usage.prompt_tokens);
  prefetch({.prompt = prompt, .hints = {.program = "p"}});  // it is there: nothing to compute
  auto computed = counters_.prefill_tokens.load();
  run();
  EXPECT_EQ(counters_.prefill_tokens, computed);
  lane_->release("p", clock_.steady_ns());
  RequestId again = add({.prompt = prompt + " and then?", .hints = {.program = "q"}});
  run();
  EXPECT_EQ(reply(again)->usage.cached_tokens, 0U);
}

TEST_F(LaneTest, WhatAProgramSaidIsKeptWhenItComesBack) {
  open({.pool_tokens = 512, .host_bytes = 1 << 20});
  RequestId first =
      add({.prompt = words(40, 1), .max_tokens = 30, .hints = {.program = "p", .returns = true}});
  run();
  std::string longer = words(40, 1) + text(first) + " " + words(5, 3);
  RequestId second = add({.prompt = longer, .hints = {.program = "p"}});
  run();
  EXPECT_GE(reply(second)->usage.cached_tokens, reply(first)->usage.prompt_tokens);
}

TEST_F(LaneTest, ALongPrefillIsBrokenOffForAShortRequest) {
  PolicySettings settings;
  settings.between_tokens_ms = 1;
  Ask ask{.prompt = words(250, 1), .max_tokens = 10};
  open({.pool_tokens = 512, .policies = settings});
  std::string expected = text_alone(ask);
  open({.pool_tokens = 512, .policies = settings});
  auto before = counters_.prefill_tokens.load();
  RequestId id = add(ask);
  // The lane asks for the time right before it computes: it comes when libllama is at work.
  clock_.on_ask(2, [&] { arrivals_.shortest = 5; });
  step();
  EXPECT_EQ(counters_.aborted_batches, 1U);
  EXPECT_EQ(counters_.prefill_tokens, before);
  RequestId small = add({.prompt = words(5, 2), .max_tokens = 1});
  step();
  EXPECT_EQ(counters_.aborted_batches, 1U) << "the next one goes on to its end, whoever has come";
  EXPECT_GT(counters_.prefill_tokens, before);
  arrivals_.clear();
  run();
  EXPECT_EQ(text(id), expected);
  EXPECT_TRUE(reply(small));
}

struct Fault {
  Failpoint point;
  const char* name;
};

class LaneFaultTest : public LaneTest, public testing::WithParamInterface<Fault> {};

TEST_P(LaneFaultTest, AllEndWithAnErrorThatCanBeRetriedAndTheLaneGoesOn) {
  open({.pool_tokens = 512, .host_bytes = 1 << 20});
  Ask ask{.prompt = words(20, 77), .max_tokens = 12};
  std::string expected = text_alone(ask);
  for (bool decoding : {false, true}) {
    std::vector<RequestId> all;
    for (std::uint32_t i = 0; i < 5; ++i) all.push_back(add({.prompt = words(30, i)}));
    for (int i = 0; decoding && i < 3; ++i) step();
    {
      FailpointScope scope(GetParam().point);
      run();
    }
    for (RequestId id : all) {
      ASSERT_TRUE(ended_.contains(id));
      ASSERT_FALSE(reply(id));
      EXPECT_EQ(reply(id).error().code(), ErrorCode::kDecodeFailed);
      EXPECT_TRUE(reply(id).error().retryable());
    }
    RequestId after = add(ask);
    run();
    EXPECT_EQ(text(after), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Faults, LaneFaultTest,
                         testing::Values(Fault{Failpoint::kDecodeNoCells, "no_cells"},
                                         Fault{Failpoint::kDecodeAborted, "aborted"},
                                         Fault{Failpoint::kDecodeInvalid, "invalid"},
                                         Fault{Failpoint::kDecodeFails, "fails"}),
                         [](const auto& info) { return info.param.name; });

TEST_F(LaneTest, OneThatCannotBeComputedDoesNotTakeTheOthersWithIt) {
  open({.pool_tokens = 1024});
  std::vector<Ask> asks;
  for (std::uint32_t i = 0; i < 5; ++i) asks.push_back({.prompt = words(20, i), .max_tokens = 30});
  std::vector<std::string> alone;
  for (const Ask& ask : asks) alone.push_back(text_alone(ask));
  FailpointScope scope(Failpoint::kDecodeFailsDeep);
  std::vector<RequestId> all;
  for (const Ask& ask : asks) all.push_back(add(ask));
  RequestId at_once = add({.prompt = words(170, 50), .max_tokens = 30});
  RequestId later = add({.prompt = words(100, 51), .max_tokens = 200});
  run();
  for (std::size_t i = 0; i < asks.size(); ++i) EXPECT_EQ(text(all[i]), alone[i]);
  for (RequestId id : {at_once, later}) {
    ASSERT_FALSE(reply(id));
    EXPECT_EQ(reply(id).error().code(), ErrorCode::kDecodeFailed);
  }
}

TEST_F(LaneTest, AFaultThatPassesIsNotNoticed) {
  open({.pool_tokens = 512});
  Ask ask{.prompt = words(30, 5), .max_tokens = 20};
  std::string expected = text_alone(ask);
  RequestId id = add(ask);
  RequestId other = add({.prompt = words(30, 6), .max_tokens = 20});
  step();
  {
    FailpointScope scope(Failpoint::kKvNotSaved);
    FailpointScope also(Failpoint::kKvNotRestored);
    for (int i = 0; i < 5; ++i) step();
  }
  run();
  EXPECT_EQ(text(id), expected);
  EXPECT_FALSE(text(other).empty());
}

TEST_F(LaneTest, CancelAndTimeoutInEveryPhase) {
  open({.pool_tokens = 512, .host_bytes = 1 << 20});
  for (int steps = 0; steps < 6; ++steps) {
    std::vector<RequestId> all;
    for (std::uint32_t i = 0; i < 24; ++i)
      all.push_back(add({.prompt = words(40, i), .max_tokens = 40}));
    for (int i = 0; i < steps; ++i) step();
    for (std::size_t i = 0; i < all.size(); i += 2) lane_->cancel(all[i], clock_.steady_ns());
    EXPECT_TRUE(lane_->consistent());
    run();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i % 2 == 0) EXPECT_EQ(reply(all[i]).error().code(), ErrorCode::kCancelled);
      if (i % 2 == 1) EXPECT_TRUE(reply(all[i]));
    }
  }
}

}  // namespace
}  // namespace sluice
