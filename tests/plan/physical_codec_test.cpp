// A physical plan as a value and back: every plan of the examples and of the plan tests, the
// version of old, and records that are damaged.
#include "plan/physical_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "data/json.h"
#include "data/value_codec.h"
#include "plan/describe.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "tests/plan/source_text.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// A plan's text with the files beside it.
struct Source {
  std::string name;
  std::string text;
  std::map<std::string, std::string> files;
};

// The plans of a .test file: what stands behind `=== plan`, up to the next block.
void add_test_file(const fs::path& path, std::vector<Source>& into) {
  std::istringstream lines(read_text(path));
  std::map<std::string, std::string> files;
  std::string* body = nullptr;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("=== plan")) {
      into.push_back({path.string() + " " + std::to_string(into.size()), "", {}});
      body = &into.back().text;
    } else if (line.starts_with("=== file ")) {
      body = &files[line.substr(9)];
    } else if (line.starts_with("===")) {
      body = nullptr;
    } else if (body) {
      *body += line + "\n";
    }
  }
  for (Source& each : into) {
    if (each.name.starts_with(path.string())) each.files = files;
  }
}

std::vector<Source> all_sources() {
  std::vector<Source> sources;
  for (const auto& entry : fs::recursive_directory_iterator(source_dir() / "examples")) {
    if (entry.path().extension() == ".yaml") {
      sources.push_back({entry.path().string(), read_text(entry.path()), {}});
    }
  }
  for (const auto& entry : fs::recursive_directory_iterator(source_dir() / "tests/plans")) {
    if (entry.path().extension() == ".test") add_test_file(entry.path(), sources);
  }
  return sources;
}

PlanPtr parse_source(const Source& source) {
  ParseOptions options;
  options.read_file = [&](std::string_view name) -> Result<std::string> {
    auto found = source.files.find(std::string(name));
    if (found == source.files.end()) return fail(ErrorCode::kFileUnreadable, "no such file");
    return found->second;
  };
  ParsedPlan parsed = parse_plan(source.text, source.name, options);
  return parsed.diagnostics.has_errors() ? nullptr : parsed.plan;
}

PhysicalPlanPtr lower_source(const Source& source, PlanPtr& logical) {
  logical = parse_source(source);
  if (!logical) return nullptr;
  // Verification would refuse it.
  for (const Step& step : logical->steps) {
    if (step.produced_plan && !step.limits) return nullptr;
  }
  auto tools = catalog_of(*logical);
  auto physical = lower_plan(logical, *tools);
  return physical ? *physical : nullptr;
}

// All that describes it: also what only tests and people look at.
std::string described(const PhysicalPlan& plan) {
  return to_json(describe_physical(plan), {.indent = 1, .redact_secrets = false});
}

void expect_same_settings(const Step& a, const Step& b) {
  EXPECT_EQ(a.pos, b.pos);
  EXPECT_EQ(a.op_pos, b.op_pos);
  EXPECT_EQ(a.target_pos, b.target_pos);
  EXPECT_EQ(a.output_pos, b.output_pos);
  EXPECT_EQ(a.concurrency, b.concurrency);
  EXPECT_EQ(a.timeout_ms, b.timeout_ms);
  EXPECT_EQ(a.cache_ttl_ms, b.cache_ttl_ms);
  EXPECT_EQ(a.budget.tokens, b.budget.tokens);
  EXPECT_EQ(a.budget.seconds, b.budget.seconds);
  EXPECT_EQ(a.for_each.has_value(), b.for_each.has_value());
  EXPECT_EQ(a.joins.size(), b.joins.size());
  ASSERT_EQ(a.output != nullptr, b.output != nullptr);
  if (a.output) EXPECT_EQ(a.output->source(), b.output->source());
  ASSERT_EQ(a.retry.has_value(), b.retry.has_value());
  if (a.retry) {
    EXPECT_EQ(a.retry->attempts, b.retry->attempts);
    EXPECT_EQ(a.retry->on, b.retry->on);
    EXPECT_EQ(a.retry->delay_ms, b.retry->delay_ms);
    EXPECT_EQ(a.retry->factor, b.retry->factor);
    EXPECT_EQ(a.retry->jitter, b.retry->jitter);
  }
  ASSERT_EQ(a.limits.has_value(), b.limits.has_value());
  if (a.limits) EXPECT_EQ(a.limits->tools, b.limits->tools);
}

TEST(PhysicalCodec, GivesEveryPlanBack) {
  std::size_t plans = 0;
  for (const Source& source : all_sources()) {
    PlanPtr logical;
    PhysicalPlanPtr physical = lower_source(source, logical);
    if (!physical) continue;
    SCOPED_TRACE(source.name);
    Value encoded = encode_physical(*physical);
    // As it comes back from a journal, with the text parsed by another process.
    auto kept = decode_value(encode_value(encoded));
    ASSERT_TRUE(kept);
    auto decoded = decode_physical(*kept, parse_source(source));
    ASSERT_TRUE(decoded) << decoded.error().to_string();
    EXPECT_EQ(encode_value(encode_physical(**decoded)), encode_value(encoded));
    EXPECT_EQ((*decoded)->plan_hash, physical->plan_hash);
    EXPECT_EQ((*decoded)->undo, physical->undo);
    EXPECT_EQ(described(**decoded), described(*physical));
    for (std::size_t i = 0; i < physical->steps.size(); ++i) {
      expect_same_settings((*decoded)->steps[i].logical, physical->steps[i].logical);
    }
    ++plans;
  }
  EXPECT_GE(plans, 250U);
}

Source golden_source() {
  return {"golden", read_text(source_dir() / "tests/plan/golden/physical_v1.yaml"), {}};
}

Value golden_record() {
  auto record = parse_json(read_text(source_dir() / "tests/plan/golden/physical_v1.json"));
  return record ? *record : Value();
}

// Written by the first version, with every kind of field. It is read forever; never change it.
TEST(PhysicalCodec, ReadsVersionOne) {
  Source source = golden_source();
  PlanPtr logical;
  PhysicalPlanPtr physical = lower_source(source, logical);
  ASSERT_TRUE(physical);
  if (std::getenv("SLUICE_WRITE_GOLDEN")) {
    std::ofstream(source_dir() / "tests/plan/golden/physical_v1.json")
        << to_json(encode_physical(*physical), {.indent = 1, .redact_secrets = false}) << "\n";
  }
  Value record = golden_record();
  ASSERT_EQ(record.find("version")->as_int(), 1);
  auto decoded = decode_physical(record, logical);
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(to_json(encode_physical(**decoded)), to_json(record));
  EXPECT_EQ((*decoded)->steps.size(), physical->steps.size());
  EXPECT_EQ((*decoded)->plan_hash.hex(),
            record.find("plans")->items().back().find("plan_hash")->as_string());
}

// The place of an error in an expression of several lines is where it was.
TEST(PhysicalCodec, KeepsPlaces) {
  Source source{"p",
                "sluice: 1\nparams: {p: {}}\nsteps:\n  a:\n    value: |\n      one\n"
                "      two {{ params.p }}\n",
                {}};
  PlanPtr logical;
  PhysicalPlanPtr physical = lower_source(source, logical);
  ASSERT_TRUE(physical);
  auto decoded = decode_physical(encode_physical(*physical), logical);
  ASSERT_TRUE(decoded);
  const Binding& body = (*decoded)->steps[0].body.binding;
  std::size_t offset = body.text.find("params");
  EXPECT_EQ(body.position_at(offset), physical->steps[0].body.binding.position_at(offset));
  EXPECT_EQ(body.position_at(offset).line, 7U);
}

TEST(PhysicalCodec, SharesSubPlans) {
  Source source{
      "p",
      "sluice: 1\nplans: {sub: {steps: {x: {value: 1}}, result: '{{ steps.x.output }}'}}\n"
      "steps: {a: {plan: sub}, b: {plan: sub}}\n",
      {}};
  PlanPtr logical;
  PhysicalPlanPtr physical = lower_source(source, logical);
  ASSERT_TRUE(physical);
  Value encoded = encode_physical(*physical);
  EXPECT_EQ(encoded.find("plans")->size(), 2U);
  auto decoded = decode_physical(encoded, logical);
  ASSERT_TRUE(decoded);
  EXPECT_EQ((*decoded)->steps[0].plan, (*decoded)->steps[1].plan);
  EXPECT_EQ((*decoded)->steps[0].plan->logical, logical->plans[0].second);
}

TEST(PhysicalCodec, RefusesAnotherVersion) {
  PlanPtr logical;
  ASSERT_TRUE(lower_source(golden_source(), logical));
  auto newer = decode_physical(
      Value::object({{"version", Value::integer(2)}, {"words", Value::integer(5)}}), logical);
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code(), ErrorCode::kJournal);
  EXPECT_THAT(newer.error().message(), HasSubstr("use a newer sluice"));
  for (const Value& nothing : {Value(), Value::object({}), Value::string("x"),
                               Value::object({{"version", Value::integer(1)}})}) {
    auto refused = decode_physical(nothing, logical);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::kJournalDamaged);
  }
  auto no_text = decode_physical(golden_record(), nullptr);
  EXPECT_EQ(no_text.error().code(), ErrorCode::kJournalDamaged);
}

// Copies of a value in which one place, counted depth first, is another.
class Mutation {
 public:
  Mutation(std::size_t place, std::mt19937& random) : place_(place), random_(random) {}

  Value apply(const Value& value) {
    if (at_++ == place_) return other(value);
    if (value.is_array()) {
      std::vector<Value> items;
      for (const Value& item : value.items()) items.push_back(apply(item));
      return Value::array(std::move(items));
    }
    if (!value.is_object()) return value;
    std::vector<Value::Member> members;
    for (const auto& [key, member] : value.members()) members.emplace_back(key, apply(member));
    return Value::object(std::move(members));
  }
  static std::size_t places(const Value& value) {
    std::size_t count = 1;
    if (value.is_array()) {
      for (const Value& item : value.items()) count += places(item);
    }
    if (value.is_object()) {
      for (const auto& [key, member] : value.members()) count += places(member);
    }
    return count;
  }

 private:
  Value other(const Value& value) {
    std::size_t kind = random_() % 8;
    if (kind == 0) return Value();
    if (kind == 1) return Value::integer(static_cast<std::int64_t>(random_() % 12) - 1);
    if (kind == 2) return Value::integer(std::int64_t{1} << (random_() % 63));
    if (kind == 3) return Value::string(random_() % 2 == 0 ? "" : "{{ steps.x.output }}");
    if (value.is_array() && value.size() > 0) {
      std::vector<Value> items(value.items().begin(), value.items().end());
      if (kind == 4) items.pop_back();
      if (kind == 5) items.push_back(items.front());
      if (kind == 6) std::reverse(items.begin(), items.end());
      if (kind == 7) items.clear();
      return Value::array(std::move(items));
    }
    if (value.is_object() && value.size() > 0) {
      std::vector<Value::Member> members(value.members().begin(), value.members().end());
      if (kind < 6)
        members.erase(members.begin() + static_cast<std::ptrdiff_t>(random_() % members.size()));
      if (kind == 6) members.emplace_back("new", Value());
      if (kind == 7) members.clear();
      return Value::object(std::move(members));
    }
    if (value.is_int()) return Value::integer(value.as_int() + (kind < 6 ? 1 : -1));
    return value.is_bool() ? Value::boolean(!value.as_bool()) : Value::string("x");
  }

  std::size_t place_;
  std::mt19937& random_;
  std::size_t at_ = 0;
};

TEST(PhysicalCodec, RefusesDamage) {
  PlanPtr logical;
  ASSERT_TRUE(lower_source(golden_source(), logical));
  Value record = golden_record();
  std::size_t places = Mutation::places(record);
  std::mt19937 random(7);
  std::size_t refused = 0;
  constexpr std::size_t kRounds = 2000;
  for (std::size_t round = 0; round < kRounds; ++round) {
    Value damaged = Mutation(random() % places, random).apply(record);
    if (round % 3 == 0) damaged = Mutation(random() % places, random).apply(damaged);
    auto decoded = decode_physical(damaged, logical);
    if (decoded) {  // a plan of another meaning, but a plan
      described(**decoded);
      auto again = decode_physical(encode_physical(**decoded), logical);
      EXPECT_TRUE(again) << again.error().to_string();
      continue;
    }
    ++refused;
    ErrorCode code = decoded.error().code();
    EXPECT_TRUE(code == ErrorCode::kJournalDamaged || code == ErrorCode::kJournal)
        << decoded.error().to_string();
  }
  EXPECT_GT(refused, kRounds / 2);
}

}  // namespace
}  // namespace sluice
