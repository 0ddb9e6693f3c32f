#include "host/calls/shared_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;

Hash256 key(std::string_view name) { return sha256(name); }

// A call that asks and remembers what it was told.
struct Asking {
  SharedCalls& calls;
  bool gone = false;
  std::vector<std::string> told = {};
  std::uint64_t turn = 0;

  SharedCalls::Answer ask(std::string_view name) {
    auto answer = calls.ask(key(name), [this](const SharedCalls::Told& news) {
      if (gone) return false;
      turn = news.turn;
      told.emplace_back(news.output ? news.output->as_string() : "make it");
      return true;
    });
    if (!answer.waits && !answer.output) turn = answer.turn;
    return answer;
  }
};

TEST(SharedCalls, TheFirstIsMadeTheOthersWait) {
  SharedCalls calls;
  Asking first{calls};
  Asking second{calls};
  Asking other{calls};
  EXPECT_FALSE(first.ask("a").waits);
  EXPECT_GT(first.turn, 0u);
  EXPECT_TRUE(second.ask("a").waits);
  EXPECT_FALSE(other.ask("b").waits) << "with other inputs it is another call";
  calls.succeeded(key("a"), Value::string("x"));
  EXPECT_THAT(second.told, ElementsAre("x"));
  EXPECT_THAT(first.told, ElementsAre());
  Asking late{calls};
  auto answer = late.ask("a");
  ASSERT_TRUE(answer.output.has_value());
  EXPECT_EQ(answer.output->as_string(), "x");
  EXPECT_FALSE(answer.waits);
}

TEST(SharedCalls, AfterAFailureEachMakesItsOwn) {
  SharedCalls calls;
  Asking first{calls};
  Asking second{calls};
  Asking third{calls};
  first.ask("a");
  second.ask("a");
  third.ask("a");
  calls.failed(key("a"), first.turn, false);
  EXPECT_THAT(second.told, ElementsAre("make it"));
  EXPECT_THAT(third.told, ElementsAre("make it"));
  EXPECT_EQ(second.turn, 0u);
  Asking fourth{calls};
  EXPECT_FALSE(fourth.ask("a").waits) << "a failure is no result";
  EXPECT_GT(fourth.turn, 0u);
  // One on its own account cannot end what another waits for by failing, but by its result.
  Asking fifth{calls};
  EXPECT_TRUE(fifth.ask("a").waits);
  calls.failed(key("a"), second.turn, false);
  EXPECT_THAT(fifth.told, ElementsAre());
  calls.succeeded(key("a"), Value::string("y"));
  EXPECT_THAT(fifth.told, ElementsAre("y"));
  calls.failed(key("a"), fourth.turn, false);
  Asking sixth{calls};
  EXPECT_TRUE(sixth.ask("a").output.has_value());
}

TEST(SharedCalls, ACancelledOnePassesItsTurnOn) {
  SharedCalls calls;
  Asking first{calls};
  Asking gone{calls};
  Asking next{calls};
  Asking last{calls};
  first.ask("a");
  gone.ask("a");
  next.ask("a");
  last.ask("a");
  gone.gone = true;
  calls.failed(key("a"), first.turn, true);
  EXPECT_THAT(next.told, ElementsAre("make it"));
  EXPECT_GT(next.turn, 0u);
  EXPECT_THAT(last.told, ElementsAre()) << "one is enough";
  calls.failed(key("a"), first.turn, false);
  EXPECT_THAT(last.told, ElementsAre()) << "its turn is over";
  calls.succeeded(key("a"), Value::string("x"));
  EXPECT_THAT(last.told, ElementsAre("x"));
}

TEST(SharedCalls, WhenAllAreGoneNothingIsLeft) {
  SharedCalls calls;
  Asking first{calls};
  Asking second{calls};
  first.ask("a");
  second.ask("a");
  second.gone = true;
  calls.failed(key("a"), first.turn, true);
  Asking third{calls};
  EXPECT_FALSE(third.ask("a").waits);
  EXPECT_GT(third.turn, 0u);
}

TEST(SharedCalls, ResultsAreHeldUpToABound) {
  SharedCalls calls({.results = 2, .bytes = 1 << 20, .result_bytes = 1 << 20});
  auto make = [&](std::string_view name) {
    Asking one{calls};
    one.ask(name);
    calls.succeeded(key(name), Value::string(name));
  };
  make("a");
  make("b");
  Asking again{calls};
  EXPECT_TRUE(again.ask("a").output.has_value());  // used later than b
  make("c");
  EXPECT_EQ(calls.results(), 2u);
  EXPECT_TRUE(again.ask("a").output.has_value());
  EXPECT_TRUE(again.ask("c").output.has_value());
  EXPECT_FALSE(again.ask("b").output.has_value());
}

TEST(SharedCalls, AndUpToAnAmountOfMemory) {
  SharedCalls calls({.results = 1000, .bytes = 10'000, .result_bytes = 6'000});
  auto make = [&](std::string_view name, std::size_t bytes) {
    Asking one{calls};
    Asking two{calls};
    one.ask(name);
    two.ask(name);
    const std::string text(bytes, 'x');
    calls.succeeded(key(name), Value::string(text));
    EXPECT_THAT(two.told, ElementsAre(text)) << "who waits gets it, however large it is";
  };
  make("a", 4'000);
  make("b", 4'000);
  EXPECT_EQ(calls.results(), 2u);
  make("c", 4'000);
  EXPECT_EQ(calls.results(), 2u);
  EXPECT_LE(calls.bytes(), 10'000u);
  make("d", 7'000);
  EXPECT_EQ(calls.results(), 2u) << "too large to be held";
  for (int i = 0; i < 500; ++i) make(std::to_string(i), 100);
  EXPECT_LE(calls.bytes(), 10'000u);
  EXPECT_GT(calls.results(), 10u);
}

}  // namespace
}  // namespace sluice
