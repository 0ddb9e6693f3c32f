// The official JSON Schema test suite, draft 2020-12: every group whose schema stays within the
// keywords that the compiler declares must give exactly the answers of the suite; every other
// group must be refused by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "data/json.h"
#include "data/schema.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

Value read_json(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  auto value = parse_json(text.str());
  EXPECT_TRUE(value.has_value()) << path << ": " << (value ? "" : value.error().message());
  return value.value_or(Value());
}

// The keywords that stand where a keyword stands, found without the compiler's own table of what
// holds schemas.
void collect_keywords(const Value& schema, std::set<std::string>& out) {
  static const std::set<std::string_view> kMaps = {"$defs", "definitions", "properties",
                                                   "patternProperties", "dependentSchemas"};
  static const std::set<std::string_view> kLists = {"allOf", "anyOf", "oneOf", "prefixItems"};
  static const std::set<std::string_view> kSingle = {"not",
                                                     "if",
                                                     "then",
                                                     "else",
                                                     "items",
                                                     "contains",
                                                     "additionalProperties",
                                                     "propertyNames",
                                                     "unevaluatedItems",
                                                     "unevaluatedProperties",
                                                     "contentSchema"};
  if (!schema.is_object()) return;
  for (const auto& [name, value] : schema.members()) {
    out.insert(name);
    if (kSingle.contains(name)) collect_keywords(value, out);
    if (kLists.contains(name) && value.is_array()) {
      for (const auto& item : value.items()) collect_keywords(item, out);
    }
    if (kMaps.contains(name) && value.is_object()) {
      for (const auto& member : value.members()) collect_keywords(member.second, out);
    }
  }
}

struct Counts {
  int groups_passed = 0;
  int instances = 0;
  int refused_keyword = 0;
  int refused_dialect = 0;  // another $schema
  int refused_remote = 0;   // a $ref to another document
  int refused_pattern = 0;
  int refused_target = 0;  // a $ref to what is no schema
  std::map<std::string, int> by_keyword;
};

class SchemaSuite : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("SLUICE_SCHEMA_SUITE");
    ASSERT_NE(folder, nullptr) << "SLUICE_SCHEMA_SUITE must name the suite's json folder; run the "
                                  "tests through ctest, which sets it";
    root_ = fs::path(folder) / "tests" / "draft2020-12";
    ASSERT_TRUE(fs::is_directory(root_)) << root_ << " is not there";
  }

  Counts run_folder(const fs::path& folder) {
    Counts counts;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".json") files.push_back(entry.path());
    }
    std::ranges::sort(files);
    for (const auto& path : files) {
      Value groups = read_json(path);
      for (const auto& group : groups.items()) run_group(path.filename().string(), group, counts);
    }
    return counts;
  }

  void run_group(const std::string& file, const Value& group, Counts& counts) {
    const Value& schema = *group.find("schema");
    std::string name = file + ": " + std::string(group.find("description")->as_string());
    SCOPED_TRACE(name);
    std::set<std::string> used;
    collect_keywords(schema, used);
    std::set<std::string> undeclared;
    for (const auto& keyword : used) {
      if (!std::ranges::count(schema_keywords(), keyword)) undeclared.insert(keyword);
    }
    SchemaCompilation compiled = Schema::compile(schema);
    if (compiled.problems.empty()) {
      EXPECT_TRUE(undeclared.empty()) << "took the undeclared " << *undeclared.begin();
      run_instances(*compiled.schema, group, counts);
      ++counts.groups_passed;
      return;
    }
    EXPECT_EQ(compiled.schema, nullptr);
    count_refusal(compiled.problems, undeclared, counts);
  }

  void run_instances(const Schema& schema, const Value& group, Counts& counts) {
    for (const auto& test : group.find("tests")->items()) {
      const Value& data = *test.find("data");
      bool expected = test.find("valid")->as_bool();
      auto violations = schema.validate(data);
      EXPECT_EQ(violations.empty(), expected)
          << test.find("description")->as_string() << ": " << describe(violations);
      EXPECT_EQ(schema.valid(data), expected);
      if (expected) {
        std::string why;
        EXPECT_FALSE(certainly_misfits(Type::of_value(data), schema.type(), &why))
            << to_json(data) << " against " << schema.type().to_string() << ": " << why;
      }
      ++counts.instances;
    }
  }

  void count_refusal(const std::vector<SchemaProblem>& problems,
                     const std::set<std::string>& undeclared, Counts& counts) {
    // Each undeclared keyword is named, by its own problem.
    for (const auto& keyword : undeclared) {
      bool named = std::ranges::any_of(problems, [&](const SchemaProblem& problem) {
        return problem.code == ErrorCode::kSchemaUnsupported &&
               problem.message.find(keyword) != std::string::npos;
      });
      EXPECT_TRUE(named) << "did not name " << keyword;
      ++counts.by_keyword[keyword];
    }
    if (!undeclared.empty()) {
      ++counts.refused_keyword;
      return;
    }
    const std::string& message = problems[0].message;
    if (message.starts_with("$schema")) {
      ++counts.refused_dialect;
    } else if (message.find("lies outside this schema") != std::string::npos) {
      ++counts.refused_remote;
    } else if (message.find("points at no schema") != std::string::npos) {
      ++counts.refused_target;
    } else if (message.find("pattern") != std::string::npos) {
      ++counts.refused_pattern;
    } else {
      ADD_FAILURE() << "refused, but not by name: " << problems[0].pointer << ": " << message;
    }
  }

  static void print(std::string_view what, const Counts& counts) {
    std::cout << what << ": " << counts.groups_passed << " groups with " << counts.instances
              << " instances pass; refused by name: " << counts.refused_keyword
              << " undeclared keyword, " << counts.refused_remote << " remote $ref, "
              << counts.refused_dialect << " dialect, " << counts.refused_pattern << " pattern, "
              << counts.refused_target << " $ref to no schema\n";
    for (const auto& [keyword, times] : counts.by_keyword) {
      std::cout << "  " << keyword << " " << times << "\n";
    }
  }

  fs::path root_;
};

TEST_F(SchemaSuite, RequiredTests) {
  Counts counts = run_folder(root_);
  print("draft2020-12", counts);
  // So that the test cannot pass empty, and no declared keyword can slip among the refused.
  EXPECT_GE(counts.groups_passed, 255);
  EXPECT_GE(counts.instances, 964);
  EXPECT_GE(counts.refused_keyword, 93);
  EXPECT_LE(counts.refused_remote, 18);
  EXPECT_LE(counts.refused_dialect, 2);
  EXPECT_EQ(counts.refused_pattern, 0);
  EXPECT_EQ(counts.refused_target, 0);
}

TEST_F(SchemaSuite, OptionalTests) {
  Counts counts = run_folder(root_ / "optional");
  print("draft2020-12/optional", counts);
  EXPECT_GE(counts.groups_passed, 33);
  EXPECT_GE(counts.instances, 106);
  EXPECT_LE(counts.refused_remote, 1);
  EXPECT_LE(counts.refused_dialect, 2);
  EXPECT_EQ(counts.refused_pattern, 0);
  EXPECT_LE(counts.refused_target, 1);
}

}  // namespace
}  // namespace sluice
