#include "models/sse_parser.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

std::vector<std::string> events(std::string_view bytes, std::size_t piece) {
  std::vector<std::string> out;
  SseParser parser([&](std::string_view data) { out.emplace_back(data); });
  for (std::size_t at = 0; at < bytes.size(); at += piece) parser.push(bytes.substr(at, piece));
  return out;
}

TEST(SseParserTest, GivesTheSameEventsHoweverTheBytesArrive) {
  struct Case {
    const char* name;
    std::string_view bytes;
    std::vector<std::string> events;
  };
  std::vector<Case> cases{
      {"line feeds", "data: a\n\ndata: b\n\n", {"a", "b"}},
      {"both", "data: a\r\n\r\ndata: b\r\n\r\n", {"a", "b"}},
      {"carriage returns", "data: a\r\rdata: b\r\r", {"a", "b"}},
      {"no blank", "data:a\n\n", {"a"}},
      {"two blanks", "data:  a\n\n", {" a"}},
      {"several lines", "data: a\ndata: b\n\n", {"a\nb"}},
      {"comments and other fields", ": ping\n\nevent: x\nid: 7\ndata: a\nretry: 1\n\n", {"a"}},
      {"empty data", "data\n\n", {""}},
      {"no end", "data: a\n\ndata: b\n", {"a"}},
      {"no data", "event: x\n\n\n\n", {}}};
  for (const Case& test : cases) {
    for (std::size_t piece : {1, 2, 3, 5, 1000}) {
      EXPECT_EQ(events(test.bytes, piece), test.events) << test.name << " in pieces of " << piece;
    }
  }
}

}  // namespace
}  // namespace sluice
