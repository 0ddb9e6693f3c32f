#include "cli/params.h"

#include <gtest/gtest.h>

#include "cli/run_options.h"
#include "data/json.h"
#include "tests/host/scratch_dir.h"

namespace sluice::cli {
namespace {

Plan plan_with(std::initializer_list<std::pair<const char*, const char*>> params) {
  Plan plan;
  for (const auto& [id, schema] : params) {
    ParamSpec spec;
    spec.id = id;
    spec.schema = Schema::literal(schema);
    plan.params.push_back(std::move(spec));
  }
  return plan;
}

class Params : public testing::Test {
 protected:
  std::string collect(const ParamArguments& arguments) {
    auto value = collect_params(plan, arguments);
    if (!value) return std::string(value.error().name()) + ": " + value.error().message();
    return to_json(*value);
  }
  ScratchDir dir;
  Plan plan = plan_with({{"name", R"({"type":"string"})"},
                         {"count", R"({"type":"integer"})"},
                         {"any", "true"},
                         {"rows", R"({"type":"array"})"}});
};

TEST_F(Params, AreTextOrJsonAsTheSchemaHasIt) {
  EXPECT_EQ(collect({.values = {"name=12", "count=12", "any=12"}}),
            R"({"name":"12","count":12,"any":12})");
  EXPECT_EQ(collect({.values = {"any=hello world", "rows=[1,2]", "name="}}),
            R"({"any":"hello world","rows":[1,2],"name":""})");
  EXPECT_EQ(collect({.values = {"name=a=b"}}), R"({"name":"a=b"})");
  EXPECT_EQ(collect({.values = {"unknown=1"}}), R"({"unknown":1})") << "for bind_params to say";
}

TEST_F(Params, MayBeInFiles) {
  const auto text = dir.write("t.txt", "from a file\n");
  EXPECT_EQ(collect({.values = {"name=@" + text.string()}}), R"({"name":"from a file\n"})");
  EXPECT_EQ(collect({.values = {"name=@@home"}}), R"({"name":"@home"})");
  const auto yaml = dir.write("p.yaml", "name: x\ncount: 3\n");
  const auto json = dir.write("p.json", R"({"count": 4})");
  EXPECT_EQ(collect({.values = {"name=y"}, .files = {yaml.string(), json.string()}}),
            R"({"name":"y","count":4})")
      << "later ones win, --param over files";
}

TEST_F(Params, RowsFindTheOneList) {
  const auto rows = dir.write("r.csv", "a\n1\n2\n");
  EXPECT_EQ(collect({.input = rows.string()}), R"({"rows":[{"a":"1"},{"a":"2"}]})");
  EXPECT_EQ(collect({.input = rows.string(), .input_param = "any"}),
            R"({"any":[{"a":"1"},{"a":"2"}]})");
  plan = plan_with({{"a", R"({"type":"array"})"}, {"b", R"({"type":"array"})"}});
  EXPECT_NE(collect({.input = rows.string()}).find("--input-param"), std::string::npos);
}

TEST_F(Params, SayWhatIsWrong) {
  EXPECT_NE(collect({.values = {"name"}}).find("USAGE: --param takes NAME=VALUE"),
            std::string::npos);
  EXPECT_NE(collect({.values = {"=x"}}).find("USAGE"), std::string::npos);
  EXPECT_NE(
      collect({.values = {"count=many"}}).find("PARAM_INVALID: parameter count takes integer"),
      std::string::npos)
      << collect({.values = {"count=many"}});
  EXPECT_NE(collect({.values = {"name=@/nonexistent/x"}}).find("FILE_UNREADABLE"),
            std::string::npos);
  EXPECT_NE(collect({.files = {dir.write("list.yaml", "- 1\n").string()}}).find("not a map"),
            std::string::npos);
  EXPECT_NE(collect({.files = {dir.write("bad.yaml", "a: [1\n").string()}}).find("bad.yaml:"),
            std::string::npos);
  EXPECT_NE(collect({.files = {dir.write("empty.yaml", "\n").string()}}).find("is empty"),
            std::string::npos);
  EXPECT_NE(collect({.input_param = "rows"}).find("needs --input"), std::string::npos);
}

TEST(ParseBytes, TakesWhatPeopleWrite) {
  const std::pair<const char*, std::uint64_t> good[] = {{"0", 0},
                                                        {"256", 256},
                                                        {"64k", 64 << 10},
                                                        {"256M", 256 << 20},
                                                        {"1.5G", 3ULL << 29},
                                                        {"2GiB", 2ULL << 30},
                                                        {"1KB", 1 << 10},
                                                        {"3T", 3ULL << 40}};
  for (const auto& [text, bytes] : good) {
    auto parsed = parse_bytes(text);
    ASSERT_TRUE(parsed.has_value()) << text;
    EXPECT_EQ(*parsed, bytes) << text;
  }
  for (const char* text : {"", "M", "-1", "1X", "12 M", "1e400", "nan", "99999999T"}) {
    EXPECT_FALSE(parse_bytes(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace sluice::cli
