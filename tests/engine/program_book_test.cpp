// What the engine remembers of programs: bounded, and those that are here are not forgotten.
#include "engine/program_book.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

RequestView request_of(const std::string& program) {
  RequestView view;
  view.program = program;
  view.tenant = "t";
  return view;
}

TEST(ProgramBook, ManyThatCameOnceAreForgotten) {
  ProgramBook book({});
  RequestView stays = request_of("stays");
  book.arrive(stays, 0);
  for (int i = 1; i < 20'000; ++i) {
    RequestView view = request_of("p" + std::to_string(i));
    book.arrive(view, i);
    book.leave(view, {}, i);
    ASSERT_LE(book.size(), 2 * ServiceLedger::kRemembered + 1);
  }
  EXPECT_FALSE(book.idle_since("stays"));
  book.leave(stays, {}, 30'000);
  EXPECT_EQ(book.idle_since("stays"), 30'000);
  EXPECT_EQ(book.idle_since("p19999"), 19'999);
  EXPECT_FALSE(book.idle_since("p1"));
}

}  // namespace
}  // namespace sluice
