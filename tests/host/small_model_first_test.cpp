// Two models as one: who is asked, whose answer is taken, what it costs, and how it ends.
#include "host/resources/small_model_first.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A model that answers when the test says so, on the test's thread.
class HeldModel final : public ModelInstance {
 public:
  explicit HeldModel(std::string id) { info_.id = std::move(id); }
  ~HeldModel() override {
    while (!open.empty()) {
      end(open.begin()->first, fail(ErrorCode::kCancelled, "the instance was shut down"));
    }
  }

  const ModelInfo& info() const override { return info_; }
  RequestId submit(ModelRequest request, ModelCallbacks callbacks) override {
    requests.push_back(std::move(request));
    open[++last_] = std::move(callbacks);
    return last_;
  }
  void cancel(RequestId id) override { cancelled.push_back(id); }
  Result<std::vector<std::vector<float>>> embed(const std::vector<std::string>&) override {
    return fail(ErrorCode::kModelRefused, "no vectors of " + info_.id);
  }
  Result<std::size_t> count_tokens(std::string_view text) override { return text.size(); }

  void end(RequestId id, Result<ModelReply> reply) {
    auto callbacks = std::move(open.at(id));
    open.erase(id);
    callbacks.on_end(std::move(reply));
  }

  std::vector<ModelRequest> requests;
  std::map<RequestId, ModelCallbacks> open;
  std::vector<RequestId> cancelled;

 private:
  ModelInfo info_;
  RequestId last_ = 0;
};

ModelReply reply_of(std::string text, const std::vector<double>& logprobs) {
  ModelReply reply;
  reply.text = std::move(text);
  reply.usage = {.prompt_tokens = 100, .cached_tokens = 10, .completion_tokens = 20};
  for (double each : logprobs) reply.logprobs.push_back({.token = "t", .logprob = each});
  return reply;
}

class SmallModelFirstTest : public testing::Test {
 protected:
  void ask(std::string key = "k", std::int64_t timeout_ms = 0) {
    ModelRequest request;
    request.messages = {{.role = "user", .content = "hi"}};
    request.idempotency_key = std::move(key);
    request.timeout_ms = timeout_ms;
    id = both->submit(std::move(request), {.on_text = {}, .on_end = [this](Result<ModelReply> got) {
                                             replies.push_back(std::move(got));
                                           }});
  }

  std::vector<Result<ModelReply>> replies;  // models that go still end what they have
  HeldModel small{"small"};
  HeldModel large{"large"};
  std::optional<SmallModelFirst> both{std::in_place, SmallModelFirst::Model{&small, {0.001, 0.002}},
                                      SmallModelFirst::Model{&large, {0.01, 0.02}}, std::log(0.9)};
  RequestId id = 0;
};

TEST_F(SmallModelFirstTest, ASureAnswerIsTaken) {
  ask();
  EXPECT_TRUE(small.requests.at(0).sampling.logprobs);
  EXPECT_EQ(small.requests[0].idempotency_key, "k/first");
  small.end(1, reply_of("yes", {-0.1, -0.05, -0.15}));
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_EQ(replies[0]->text, "yes");
  EXPECT_DOUBLE_EQ(replies[0]->usage.usd, 100 * 0.001 + 20 * 0.002);
  EXPECT_EQ(replies[0]->earlier.prompt_tokens, 0U);
  EXPECT_THAT(large.requests, IsEmpty());
  EXPECT_EQ(both->counts().asked, 1U);
  EXPECT_EQ(both->counts().taken, 1U);
}

TEST_F(SmallModelFirstTest, ElseTheOwnModelIsAskedTheSameAndBothCost) {
  ask();
  small.end(1, reply_of("perhaps", {-0.1, -0.05, -0.3}));
  EXPECT_THAT(replies, IsEmpty());
  ASSERT_EQ(large.requests.size(), 1U);
  EXPECT_FALSE(large.requests[0].sampling.logprobs);
  EXPECT_EQ(large.requests[0].idempotency_key, "k");
  EXPECT_EQ(large.requests[0].messages[0].content, "hi");
  large.end(1, reply_of("no", {}));
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_EQ(replies[0]->text, "no");
  EXPECT_DOUBLE_EQ(replies[0]->usage.usd, 100 * 0.01 + 20 * 0.02);
  EXPECT_DOUBLE_EQ(replies[0]->earlier.usd, 100 * 0.001 + 20 * 0.002);
  EXPECT_EQ(replies[0]->earlier.prompt_tokens, 100U);
  EXPECT_EQ(both->counts().taken, 0U);
}

TEST_F(SmallModelFirstTest, WhatIsNotKnownToBeSureIsNot) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<std::vector<double>> unsure = {
      {}, {-kInfinity}, {0, 0, -kInfinity}, {std::numeric_limits<double>::quiet_NaN()}};
  for (const auto& logprobs : unsure) {
    ask();
    small.end(id, reply_of("x", logprobs));
    ASSERT_EQ(large.open.size(), 1U);
    large.end(large.open.begin()->first, reply_of("y", {}));
    EXPECT_EQ(replies.back()->text, "y");
  }
  EXPECT_EQ(both->counts().untold, 1U);
  EXPECT_EQ(both->counts().asked, unsure.size());
}

TEST_F(SmallModelFirstTest, ForcedTokensSayNothing) {
  ModelReply reply = reply_of("{}", {-1, -1});
  EXPECT_EQ(mean_logprob(reply), -1);
  for (int i = 0; i < 20; ++i) {
    TokenLogprob forced;
    forced.forced = true;
    reply.logprobs.push_back(forced);
  }
  EXPECT_EQ(mean_logprob(reply), -1);
  reply.logprobs.erase(reply.logprobs.begin(), reply.logprobs.begin() + 2);
  EXPECT_EQ(mean_logprob(reply), 0) << "nothing was chosen";
  EXPECT_EQ(mean_logprob(ModelReply()), std::nullopt);
}

TEST_F(SmallModelFirstTest, AFailureOfTheFirstIsNoFailure) {
  ask();
  small.end(1, fail(ErrorCode::kModelFailed, "out of order"));
  large.end(1, reply_of("no", {}));
  EXPECT_EQ(replies.at(0)->text, "no");
  EXPECT_EQ(both->counts().failed, 1U);
  EXPECT_EQ(both->counts().first_failure, "out of order");
  ask();
  small.end(2, reply_of("perhaps", {-3}));
  large.end(2, fail(ErrorCode::kModelRefused, "never"));
  EXPECT_EQ(replies.at(1).error().code(), ErrorCode::kModelRefused);
}

TEST_F(SmallModelFirstTest, WhatAFailedRequestTookIsTold) {
  for (const bool cancelled : {false, true}) {
    auto lost = std::make_shared<ModelUsage>();
    std::optional<Result<ModelReply>> reply;
    id = both->submit(
        ModelRequest{.messages = {{.role = "user", .content = "hi"}}},
        {.on_text = {}, .on_end = [&](Result<ModelReply> got) { reply = std::move(got); }}, lost);
    if (cancelled) both->cancel(id);
    small.end(small.open.begin()->first, reply_of("perhaps", {-3}));
    if (!cancelled) large.end(large.open.begin()->first, fail(ErrorCode::kModelFailed, "no"));
    ASSERT_TRUE(reply && !reply->has_value());
    EXPECT_EQ(lost->prompt_tokens, 100U);
    EXPECT_EQ(lost->completion_tokens, 20U);
    EXPECT_DOUBLE_EQ(lost->usd, 100 * 0.001 + 20 * 0.002);
  }
}

TEST_F(SmallModelFirstTest, OneTimeLimitForBoth) {
  ask("k", 50);
  small.end(1, fail(ErrorCode::kTimeout, "too long"));
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_EQ(replies[0].error().code(), ErrorCode::kTimeout);
  EXPECT_THAT(large.requests, IsEmpty());
  ask("k", 0);
  small.end(2, fail(ErrorCode::kTimeout, "the server's own limit"));
  EXPECT_EQ(large.requests.size(), 1U);
}

TEST_F(SmallModelFirstTest, ACancelReachesWhoeverHasIt) {
  ask();
  both->cancel(id);
  EXPECT_THAT(small.cancelled, ElementsAre(1));
  small.end(1, fail(ErrorCode::kCancelled, "cancelled"));
  EXPECT_EQ(replies.at(0).error().code(), ErrorCode::kCancelled);
  // Its answer comes all the same, and is unsure: nobody else is asked any more.
  ask();
  both->cancel(id);
  small.end(2, reply_of("perhaps", {-3}));
  EXPECT_EQ(replies.at(1).error().code(), ErrorCode::kCancelled);
  ask();
  small.end(3, reply_of("perhaps", {-3}));
  both->cancel(id);
  EXPECT_THAT(large.cancelled, ElementsAre(1));
  large.end(1, fail(ErrorCode::kCancelled, "cancelled"));
  EXPECT_EQ(replies.size(), 3U);
  both->cancel(id);  // over: nothing happens
  EXPECT_THAT(large.cancelled, ElementsAre(1));
}

TEST_F(SmallModelFirstTest, ItsEndCancelsWhatIsOpenAndAsksNobody) {
  ask();
  both.reset();
  EXPECT_THAT(small.cancelled, ElementsAre(1));
  small.end(1, reply_of("perhaps", {-3}));
  EXPECT_EQ(replies.at(0).error().code(), ErrorCode::kCancelled);
  EXPECT_THAT(large.requests, IsEmpty());
}

TEST_F(SmallModelFirstTest, StreamsAndToolsAreOfOneModel) {
  ModelRequest tools;
  tools.tools.push_back({.name = "t", .description = "", .parameters = {}});
  both->submit(tools, {.on_text = {}, .on_end = [](const Result<ModelReply>&) {}});
  both->submit({},
               {.on_text = [](std::string_view) {}, .on_end = [](const Result<ModelReply>&) {}});
  EXPECT_THAT(small.requests, IsEmpty());
  EXPECT_EQ(large.requests.size(), 2U);
  EXPECT_EQ(both->info().id, "large");
  EXPECT_EQ(both->embed({}).error().message(), "no vectors of large");
}

}  // namespace
}  // namespace sluice
