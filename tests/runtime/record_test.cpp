// Bytes of records: what goes in comes out; bytes of any kind never do harm; what earlier versions
// wrote is read for ever.

#include "runtime/record.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/random.h"
#include "runtime/inbox.h"
#include "tests/runtime/record_samples.h"

namespace sluice::testing {
namespace {

std::filesystem::path golden_folder() {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  return std::filesystem::path(root == nullptr ? "." : root) / "tests/runtime/golden";
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// Type and version as two bytes each, low one first, then the body.
std::string packed(const JournalRecord& record) {
  std::string bytes;
  for (std::uint16_t number : {record.type, record.version}) {
    bytes += static_cast<char>(number & 0xFF);
    bytes += static_cast<char>(number >> 8);
  }
  return bytes + record.body;
}

JournalRecord unpacked(const std::string& bytes) {
  auto number = [&](std::size_t at) {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes.at(at)) |
                                      static_cast<unsigned char>(bytes.at(at + 1)) << 8);
  };
  return {number(0), number(2), bytes.substr(4)};
}

TEST(Record, WhatGoesInComesOut) {
  for (const RecordSample& sample : record_samples()) {
    SCOPED_TRACE(sample.name);
    const JournalRecord encoded = encode_record(sample.record);
    auto decoded = decode_record(encoded);
    ASSERT_TRUE(decoded) << decoded.error().to_string();
    EXPECT_EQ(record_json(4, *decoded), record_json(4, sample.record));
    EXPECT_EQ(encode_record(*decoded).body, encoded.body);
  }
}

// A file that is not there yet is written when SLUICE_UPDATE_GOLDEN is set; one that is there is
// never changed: it is what some program once wrote.
TEST(Record, GoldenRecordsAreRead) {
  const bool update = std::getenv("SLUICE_UPDATE_GOLDEN") != nullptr;
  for (const RecordSample& sample : record_samples()) {
    SCOPED_TRACE(sample.name);
    const auto encoded = encode_record(sample.record);
    const auto bytes =
        golden_folder() / (sample.name + ".v" + std::to_string(encoded.version) + ".bin");
    if (update && !std::filesystem::exists(bytes)) {
      std::filesystem::create_directories(golden_folder());
      write_file(bytes, packed(encoded));
      auto json = bytes;
      write_file(json.replace_extension(".json"), record_json(1, sample.record) + "\n");
    }
    EXPECT_TRUE(std::filesystem::exists(bytes))
        << bytes << " is missing: run once with SLUICE_UPDATE_GOLDEN=1 and check it in";
  }
  int read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder())) {
    if (entry.path().extension() != ".bin") continue;
    SCOPED_TRACE(entry.path().filename().string());
    auto decoded = decode_record(unpacked(read_file(entry.path())));
    ASSERT_TRUE(decoded) << decoded.error().to_string();
    auto json = entry.path();
    EXPECT_EQ(record_json(1, *decoded) + "\n", read_file(json.replace_extension(".json")));
    ++read;
  }
  EXPECT_GE(read, 16);
}

TEST(Record, ASmallCallTakesLittleRoom) {
  EventRecord record;
  record.event.at = 3'600 * kNsPerSecond;
  record.event.body =
      CallEnded{{{0, 7, 1'000'000}, 0, 1, 1, 0}, CallReturned{Value::string("done")}, {}};
  record.digest = 0xdeadbeef;
  EXPECT_LT(encode_record({record.event.at, record}).body.size(), 50u);
  auto& ended = std::get<CallEnded>(record.event.body);
  ended.call.task.frame = UINT64_MAX;
  ended.usage = {1000, 200, 300, 0.01};
  EXPECT_LT(encode_record({record.event.at, record}).body.size(), 100u);
}

TEST(Record, BytesOfAnyKindAreRefusedOrReadButDoNoHarm) {
  Random random(7);
  const auto samples = record_samples();
  int refused = 0;
  for (int i = 0; i < 30'000; ++i) {
    JournalRecord record = encode_record(samples[random.below(samples.size())].record);
    const std::uint64_t changes = 1 + random.below(4);
    for (std::uint64_t c = 0; c < changes && !record.body.empty(); ++c) {
      const std::size_t at = random.below(record.body.size());
      switch (random.below(4)) {
        case 0:
          record.body[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          record.body.resize(at);
          break;
        case 2:
          record.body.insert(at, 1, static_cast<char>(random.below(256)));
          break;
        default:
          record.body[at] = static_cast<char>(record.body[at] ^ (1 << random.below(8)));
      }
    }
    if (random.below(10) == 0) record.type = static_cast<std::uint16_t>(random.below(30));
    auto decoded = decode_record(record);
    if (decoded) {
      (void)record_json(1, *decoded);
      continue;
    }
    ++refused;
    EXPECT_TRUE(decoded.error().code() == ErrorCode::kJournalDamaged ||
                decoded.error().code() == ErrorCode::kJournal);
  }
  EXPECT_GT(refused, 5'000);
}

TEST(Record, TheFutureIsNamed) {
  JournalRecord record = encode_record(record_samples().front().record);
  record.version = 99;
  EXPECT_EQ(decode_record(record).error().code(), ErrorCode::kJournal);
  record.type = 999;
  EXPECT_EQ(decode_record(record).error().code(), ErrorCode::kJournal);
}

TEST(Record, ErrorsOfANewerProgramKeepTheirWords) {
  EventRecord record;
  record.event.at = 1;
  record.event.body =
      CallEnded{{}, CallFailed{Error(static_cast<ErrorCode>(398), "odd"), false}, {}};
  auto decoded = decode_record(encode_record({1, record}));
  ASSERT_TRUE(decoded);
  EXPECT_NE(record_json(1, *decoded).find("odd"), std::string::npos);
}

TEST(Record, SecretsAreNotExported) {
  for (const RecordSample& sample : record_samples()) {
    EXPECT_EQ(record_json(1, sample.record).find("hunter2"), std::string::npos) << sample.name;
  }
}

TEST(Inbox, MessagesKeepWhatTheySay) {
  ResolveMessage resolve{"a[3]#2", ResolveMessage::Verdict::kDone,
                         Value::object({{"id", Value::integer(4)}}), "seen on the account"};
  for (const RunMessage& message : {RunMessage(SignalMessage{"go", "ask", Value::integer(3)}),
                                    RunMessage(resolve), RunMessage(CancelMessage{"too dear"})}) {
    auto [kind, body] = encode_message(message);
    auto back = decode_message({1, kind, body, 0});
    ASSERT_TRUE(back) << back.error().to_string();
    EXPECT_EQ(encode_message(*back), (std::pair(kind, body)));
  }
  for (const auto& [kind, body] : {std::pair("signal", "{}"), std::pair("signal", "[1]"),
                                   std::pair("resolve", "{\"task\":\"a\"}"),
                                   std::pair("nothing", "{}"), std::pair("cancel", "{")}) {
    EXPECT_EQ(decode_message({1, kind, body, 0}).error().code(), ErrorCode::kJournalDamaged);
  }
}

}  // namespace
}  // namespace sluice::testing
