// The plan behind `sluice batch`: what it is made of, what it refuses, and that it survives.
#include "host/runs/batch_plan.h"

#include <gmock/gmock.h>

#include <sstream>

#include "tests/host/durable_bench.h"
#include "tools/table/table_reader.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kTwice = R"(sluice: 1
params: {n: {type: integer}, word: {type: string, default: w}}
steps:
  twice: {value: "{{ params.n * 2 }}"}
result: {n: "{{ params.n }}", twice: "{{ steps.twice.output }}", word: "{{ params.word }}"}
)";

// Rows with 3 fail, rows with 4 give nothing, rows with 5 give no object.
constexpr const char* kPicky = R"(sluice: 1
params: {n: {type: integer}}
steps:
  bad: {value: "{{ 1 // (params.n - 3) }}"}
result: "{{ none if params.n == 4 else 'five' if params.n == 5 else {'n': params.n, 'bad': steps.bad.output} }}"
)";

class Batches : public DurableBench {
 protected:
  // The user's plan must outlive the spec.
  BatchSpec spec_of(const std::string& plan, const std::string& input, const std::string& output) {
    ParsedPlan parsed = parse_plan(plan, "plan.yaml");
    for (const Diagnostic& finding : parsed.diagnostics.all()) ADD_FAILURE() << finding.message;
    plans_.push_back(parsed.plan);
    BatchSpec spec;
    spec.plan = parsed.plan.get();
    spec.texts = {{"plan.yaml", plan}};
    spec.input = {dir.path() / input, *table_format_of(input), "", ""};
    spec.output = {dir.path() / output, *table_format_of(output), ""};
    auto scan = scan_table(spec.input);
    EXPECT_TRUE(scan) << scan.error().to_string();
    if (scan) spec.columns = scan->columns;
    return spec;
  }
  RunRequest request_of(const BatchSpec& spec) {
    auto made = make_batch_plan(spec);
    if (!made) {
      ADD_FAILURE() << made.error().to_string();
      return request("sluice: 1\nsteps: {}\n");
    }
    auto input = look_at_input(spec.input.file);
    EXPECT_TRUE(input);
    return {made->plan, made->params, made->texts, std::nullopt, {*input}};
  }
  Report run_batch(const BatchSpec& spec) {
    return run_plan(request_of(spec), settings(), watching);
  }

  std::string text_of(const std::string& name) const {
    std::ifstream in(dir.path() / name, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  bool there(const std::string& name) const { return std::filesystem::exists(dir.path() / name); }

 private:
  std::vector<PlanPtr> plans_;
};

TEST_F(Batches, RunThePlanOnceARow) {
  dir.write("in.csv", "n,word,other\n1,a,x\n2,,y\n");
  auto spec = spec_of(kTwice, "in.csv", "out.jsonl");
  EXPECT_THAT(unused_columns(spec), ElementsAre("other"));
  auto report = run_batch(spec);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(text_of("out.jsonl"),
            "{\"n\":1,\"twice\":2,\"word\":\"a\"}\n{\"n\":2,\"twice\":4,\"word\":\"w\"}\n");
  EXPECT_FALSE(there("out.jsonl.part"));
  auto result = read_batch_result(report->outcome.result);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->rows, 2U);
  EXPECT_EQ(result->written, 2U);
  auto kept = journal().find_run(report->run_id);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->card.plan, "batch of plan.yaml");
}

TEST_F(Batches, KeepOneRowsFailureToItself) {
  dir.write("in.jsonl", "{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n{\"n\":\"x\"}\n{}\n");
  auto report = run_batch(spec_of(kPicky, "in.jsonl", "out.csv"));
  ASSERT_EQ(status(report), "succeeded");
  auto result = read_batch_result(report->outcome.result);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->errors, 3U);
  EXPECT_EQ(result->empty, 1U);
  ASSERT_EQ(result->first_errors.size(), 3U);
  EXPECT_THAT(result->first_errors[0],
              testing::StartsWith("row 2: bad failed: 1 // (params.n - 3): "));
  EXPECT_THAT(result->first_errors[1], HasSubstr("row 5: PARAM_INVALID: n does not fit"));
  EXPECT_THAT(result->first_errors[2], HasSubstr("row 6: PARAM_MISSING: the row has no n"));
  EXPECT_THAT(text_of("out.csv"), testing::StartsWith("n,bad,result,error\n2,-1,,\n,,,row 2: bad"));
}

TEST_F(Batches, HaveTheInputBesideWhenAsked) {
  dir.write("in.tsv", "id\tn\nx\t1\ny\t3\n");
  auto spec = spec_of(kPicky, "in.tsv", "out.csv");
  spec.with_input = true;
  ASSERT_EQ(status(run_batch(spec)), "succeeded");
  EXPECT_THAT(text_of("out.csv"),
              testing::StartsWith("id,n,bad,error\nx,1,-1,\ny,3,,row 2: bad failed"));
}

TEST_F(Batches, KeepNullsAndStopAtALimit) {
  dir.write("in.csv", "n\n4\n5\n6\n");
  auto spec = spec_of(kPicky, "in.csv", "out.jsonl");
  spec.keep_null = true;
  spec.limit = 2;
  spec.concurrency = 1;
  ASSERT_EQ(status(run_batch(spec)), "succeeded");
  EXPECT_EQ(text_of("out.jsonl"), "{\"result\":null}\n{\"result\":\"five\"}\n");
}

TEST_F(Batches, TakeWhatIsTheSameForAllRows) {
  dir.write("in.csv", "n\n1\n");
  auto spec = spec_of(kTwice, "in.csv", "out.jsonl");
  spec.fixed = *parse_json(R"({"word": "{{ not an expression }}"})");
  ASSERT_EQ(status(run_batch(spec)), "succeeded");
  EXPECT_THAT(text_of("out.jsonl"), HasSubstr(R"("word":"{{ not an expression }}")"));
  spec.fixed = *parse_json(R"({"wort": 1})");
  EXPECT_THAT(make_batch_plan(spec).error().message(), HasSubstr("did you mean word?"));
}

TEST_F(Batches, RefuseAMissingColumnBeforeAnythingRuns) {
  dir.write("in.csv", "m,word\n1,a\n");
  auto made = make_batch_plan(spec_of(kTwice, "in.csv", "out.jsonl"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), ErrorCode::kParamMissing);
  EXPECT_THAT(made.error().message(),
              HasSubstr("no column for the parameter n; its columns are m, word"));
}

TEST_F(Batches, OfNoRowsWriteAnEmptyFile) {
  dir.write("in.csv", "n,word\n");
  ASSERT_EQ(status(run_batch(spec_of(kTwice, "in.csv", "out.jsonl"))), "succeeded");
  EXPECT_TRUE(there("out.jsonl"));
  EXPECT_EQ(text_of("out.jsonl"), "");
}

constexpr const char* kNoting = R"(sluice: 1
params: {n: {type: string}}
tools:
  note: {kind: process, stdout: text, effect: idempotent,
         command: [sh, -c, 'echo "$1" >> ledger; printf %s "$1"', sh]}
steps:
  a: {tool: note, with: {args: ["{{ params.n }}"]}}
result: {noted: "{{ steps.a.output }}"}
)";

TEST_F(Batches, SurviveTheirProcess) {
  std::string rows = "n\n";
  std::string expected;
  for (int i = 0; i < 30; ++i) {
    rows += std::to_string(i) + "\n";
    expected += "{\"noted\":\"" + std::to_string(i) + "\"}\n";
  }
  dir.write("in.csv", rows);
  auto spec = spec_of(kNoting, "in.csv", "out.jsonl");
  int done = 0;
  const std::string id = in_child([&](Watching& child) {
    child.on_event = [&](const TraceEvent& event) {
      if (task_done(event, "put") && ++done == 10) ::_exit(9);
    };
    run_plan(request_of(spec), settings(), child);
  });
  EXPECT_FALSE(there("out.jsonl"));
  EXPECT_TRUE(there("out.jsonl.part"));
  auto report = resume(id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(text_of("out.jsonl"), expected);
  EXPECT_FALSE(there("out.jsonl.part"));
  // What was under way may have been called again; what had been put was not.
  EXPECT_LE(ledger().size(), 30U + 30U - 10U);
}

TEST_F(Batches, RefuseAChangedInputWhenTheyGoOn) {
  dir.write("in.csv", "n\n1\n2\n3\n");
  auto spec = spec_of(kNoting, "in.csv", "out.jsonl");
  const std::string id = in_child([&](Watching& child) {
    child.on_event = [&](const TraceEvent& event) {
      if (task_done(event, "put")) ::_exit(9);
    };
    run_plan(request_of(spec), settings(), child);
  });
  dir.write("in.csv", "n\n1\n2\n4\n");
  auto report = resume(id);
  ASSERT_FALSE(report);
  ASSERT_TRUE(report.error().error);
  EXPECT_EQ(report.error().error->code(), ErrorCode::kRunChanged);
  EXPECT_THAT(report.error().error->message(), HasSubstr("in.csv has other bytes"));
  std::filesystem::remove(dir.path() / "in.csv");
  report = resume(id);
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().error->message(), HasSubstr("its input is gone"));
  dir.write("in.csv", "n\n1\n2\n3\n");
  ASSERT_EQ(status(resume(id)), "succeeded");
  EXPECT_EQ(text_of("out.jsonl"), "{\"noted\":\"1\"}\n{\"noted\":\"2\"}\n{\"noted\":\"3\"}\n");
}

// Stops after so many rows, as a batch does for its sample.
class Stopping final : public RunObserver {
 public:
  explicit Stopping(int rows) : rows_(rows) {}
  void on_trace(const TraceEvent& event) override {
    if (task_done(event, "put")) ++done;
  }
  bool wants_stop() const override { return done >= rows_; }
  int done = 0;

 private:
  int rows_;
};

TEST_F(Batches, StopForTheirSampleAndGoOn) {
  std::string rows = "n\n";
  for (int i = 0; i < 50; ++i) rows += std::to_string(i) + "\n";
  dir.write("in.csv", rows);
  auto spec = spec_of(kNoting, "in.csv", "out.jsonl");
  RunSettings sampling = settings();
  sampling.hold_rows_after = 7;
  Stopping stopping(7);
  auto report = run_plan(request_of(spec), sampling, stopping);
  ASSERT_EQ(status(report), "interrupted");
  EXPECT_FALSE(report->ended);
  EXPECT_EQ(stopping.done, 7);
  EXPECT_EQ(ledger().size(), 7U) << "only the sample was paid";
  report = resume(report->run_id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(ledger().size(), 50U) << "and it was not paid again";
  EXPECT_EQ(read_batch_result(report->outcome.result)->written, 50U);
}

}  // namespace
}  // namespace sluice
