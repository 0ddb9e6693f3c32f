// Who is let in, for how long the others are sent away, and what keys files may say.
#include "serve/admission.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr SteadyNs kSecond = kNsPerSecond;

TEST(TokenBudget, RefillsWithTimeAndMayGoBelowZero) {
  TokenBudget budget(600, 0);  // ten a second
  EXPECT_TRUE(budget.ready(0));
  budget.take(900, 0);
  EXPECT_FALSE(budget.ready(0));
  EXPECT_NEAR(static_cast<double>(budget.ready_in_ms(0)), 30'100, 1);
  EXPECT_FALSE(budget.ready(30 * kSecond));
  EXPECT_TRUE(budget.ready(31 * kSecond));
  EXPECT_EQ(budget.ready_in_ms(31 * kSecond), 0);
  budget.take(-500, 31 * kSecond);  // it used less than was guessed
  EXPECT_NEAR(budget.left(31 * kSecond), 510, 1);
  EXPECT_NEAR(budget.left(3600 * kSecond), 600, 1) << "never more than a minute's";
}

TEST(TokenBudget, NoneIsNoLimit) {
  TokenBudget budget(0, 0);
  budget.take(1e12, 0);
  EXPECT_TRUE(budget.ready(0));
}

TEST(ServeAdmission, TakesWhatFitsAndSaysWhenToComeBack) {
  ServeAdmission admission(3);
  const AdmissionRequest two{.model = "m", .choices = 2};
  const AdmissionRequest one{.model = "m"};
  EXPECT_TRUE(admission.admit(two, 0));
  EXPECT_TRUE(admission.admit(one, 0));
  auto turned_away = admission.admit(one, 0);
  ASSERT_FALSE(turned_away);
  EXPECT_EQ(turned_away.error().status, 429);
  EXPECT_EQ(turned_away.error().code, "server_overloaded");
  EXPECT_GE(turned_away.error().retry_after_ms.value_or(0), 1000);
  EXPECT_TRUE(admission.admit({.model = "other"}, 0)) << "each model has its own room";
  admission.choice_ended(two, kSecond);
  EXPECT_TRUE(admission.admit(one, kSecond));
  EXPECT_EQ(admission.open("m"), 3u);
}

TEST(ServeAdmission, MoreChoicesThanThereIsRoomAreTheClientsMistake) {
  ServeAdmission admission(3);
  auto never = admission.admit({.model = "m", .choices = 4}, 0);
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().status, 400);
  EXPECT_EQ(never.error().param, "n");
}

TEST(ServeAdmission, TheWaitGrowsWithTheTimeThatRequestsTake) {
  ServeAdmission admission(40);
  const AdmissionRequest one{.model = "m"};
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(admission.admit(one, 0));
  for (int i = 1; i <= 10; ++i) {
    admission.choice_ended(one, i * 2 * kSecond);
    ASSERT_TRUE(admission.admit(one, i * 2 * kSecond));
  }
  auto turned_away = admission.admit(one, 20 * kSecond);
  ASSERT_FALSE(turned_away);
  EXPECT_EQ(turned_away.error().retry_after_ms, 16'000) << "eight places at one in two seconds";
}

TEST(ServeAdmission, AKeysLimits) {
  ServeAdmission admission(100);
  const ApiKey key{.name = "k", .max_in_flight = 2, .tokens_per_minute = 600};
  const AdmissionRequest one{.key = &key, .model = "m", .tokens_expected = 500};
  EXPECT_TRUE(admission.admit(one, 0));
  EXPECT_TRUE(admission.admit(one, 0)) << "there was something left";
  auto busy = admission.admit(one, 0);
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, "requests_in_flight_exceeded");
  admission.choice_ended(one, 0);
  auto spent = admission.admit(one, 0);
  ASSERT_FALSE(spent);
  EXPECT_EQ(spent.error().code, "rate_limit_exceeded");
  EXPECT_EQ(spent.error().retry_after_ms, 40'100);
  admission.call_ended(one, 0, 0);  // it used nothing: 100 are left
  EXPECT_TRUE(admission.admit(one, 0));
}

TEST(ApiKeys, ReadsWhatTheFileSays) {
  auto keys = ApiKeys::parse(R"({"keys": [
      {"name": "a", "key": "sk-aaaaaaaa", "max_in_flight": 3, "tokens_per_minute": 1000,
       "max_priority": 5, "weight": 2},
      {"name": "b", "tenant": "a", "any_tenant": true, "weight": 3,
       "sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}]})",
                             "keys.json");
  ASSERT_TRUE(keys) << keys.error().message();
  const ApiKey* a = keys->find("Bearer sk-aaaaaaaa");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->tenant, "a");
  EXPECT_EQ(a->max_in_flight, 3u);
  EXPECT_EQ(a->max_priority, 5);
  const ApiKey* b = keys->find("Bearer secret");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->name, "b");
  EXPECT_TRUE(b->any_tenant);
  EXPECT_EQ(keys->tenant_weights().at("a"), 3);
  for (std::string_view wrong : {"", "Bearer ", "Bearer x", "sk-aaaaaaaa", "bearer sk-aaaaaaaa",
                                 "Basic sk-aaaaaaaa", "Bearer sk-aaaaaaaa "}) {
    EXPECT_EQ(keys->find(wrong), nullptr) << wrong;
  }
}

TEST(ApiKeys, SaysWhatIsWrong) {
  struct Case {
    std::string_view text;
    std::string_view words;
  };
  for (const Case& one : {
           Case{"", "holds no keys"},
           Case{"[]", "must be an object"},
           Case{R"({"keys": []})", "holds none"},
           Case{R"({"keys": [{"name": "a"}]})", "keys[0].key"},
           Case{R"({"keys": [{"key": "12345678"}]})", "keys[0].name"},
           Case{R"({"keys": [{"name": "a", "key": "short"}]})", "less than 8"},
           Case{R"({"keys": [{"name": "a", "sha256": "zz"}]})", "64 hexadecimal"},
           Case{R"({"keys": [{"name": "a", "key": "12345678", "colour": 1}]})", "keys[0].colour"},
           Case{R"({"keys": [{"name": "a", "key": "12345678"}, {"name": "b", "key": "12345678"}]})",
                "same key"},
       }) {
    auto keys = ApiKeys::parse(one.text, "keys.json");
    ASSERT_FALSE(keys) << one.text;
    EXPECT_EQ(keys.error().code(), ErrorCode::kUsage);
    EXPECT_NE(keys.error().to_string().find(one.words), std::string::npos)
        << keys.error().to_string();
    EXPECT_EQ(keys.error().to_string().find("12345678"), std::string::npos) << "a key is a secret";
  }
}

}  // namespace
}  // namespace sluice
