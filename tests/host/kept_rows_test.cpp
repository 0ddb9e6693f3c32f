// A batch that goes on without the work file that it left, or with another one.
#include "host/runs/kept_rows.h"

#include <gmock/gmock.h>

#include <sstream>

#include "host/runs/batch_plan.h"
#include "host/runs/run_fork.h"
#include "tests/host/durable_bench.h"
#include "tools/table/table_reader.h"
#include "tools/table/work_file.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kPaid = R"(sluice: 1
params: {n: {type: integer}}
tools:
  note: {kind: process, stdout: json, effect: once,
         command: [sh, -c, 'echo "$1" >> ledger; printf %s "$1"', sh]}
steps:
  a: {tool: note, with: {args: ["{{ params.n }}"]}}
  bad: {value: "{{ 1 // (params.n - 3) }}"}
result: "{{ none if params.n == 4 else {'noted': steps.a.output, 'bad': steps.bad.output} }}"
)";
constexpr std::uint64_t kRows = 40;

class KeptRowsOfBatches : public DurableBench {
 protected:
  void SetUp() override {
    std::string rows = "n,text\n";
    for (std::uint64_t i = 0; i < kRows; ++i) {
      rows += std::to_string(i) + ",\"a, \"\"b\"\" " + std::to_string(i) + "\"\n";
    }
    dir.write("in.csv", rows);
  }

  RunRequest batch_to(const std::string& output) {
    ParsedPlan parsed = parse_plan(kPaid, "plan.yaml");
    plan_ = parsed.plan;
    BatchSpec spec;
    spec.plan = plan_.get();
    spec.texts = {{"plan.yaml", kPaid}};
    spec.input = {dir.path() / "in.csv", TableFormat::kCsv, "", ""};
    spec.output = {dir.path() / output, *table_format_of(output), ""};
    spec.columns = {"n", "text"};
    spec.with_input = true;
    auto made = make_batch_plan(spec);
    if (!made) {
      ADD_FAILURE() << made.error().to_string();
      return request("sluice: 1\nsteps: {}\n");
    }
    return {made->plan,
            made->params,
            made->texts,
            std::nullopt,
            {*look_at_input(spec.input.file)},
            BatchExtent{kRows, {}}};
  }

  // Ends its process when so many rows are kept; gives the run.
  std::string stopped_after(std::uint64_t rows, const RunSettings& how) {
    class Stopping final : public RunObserver {
     public:
      explicit Stopping(std::uint64_t most) : most_(most) {}
      void on_trace(const TraceEvent& event) override {
        if (task_done(event, "put")) ++done_;
      }
      bool wants_stop() const override { return done_ >= most_; }

     private:
      std::uint64_t most_;
      std::uint64_t done_ = 0;
    } stopping(rows);
    RunSettings sampling = how;
    sampling.hold_rows_after = rows;
    auto report = run_plan(batch_to("out.csv"), sampling, stopping);
    EXPECT_EQ(status(report), "interrupted");
    return report ? report->run_id : "";
  }

  fs::path output() const { return dir.path() / "out.csv"; }
  std::string text_of(const std::string& name) const {
    std::ifstream in(dir.path() / name, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  // What a batch that nothing happened to writes.
  std::string whole() {
    auto report = run_plan(batch_to("whole.csv"), settings(), watching);
    EXPECT_EQ(status(report), "succeeded");
    fs::remove(dir.path() / "ledger");
    return text_of("whole.csv");
  }

 private:
  PlanPtr plan_;
};

TEST_F(KeptRowsOfBatches, AreMadeAgainOfTheJournal) {
  const std::string expected = whole();
  const std::string id = stopped_after(15, settings());
  ASSERT_TRUE(remove_work_file(output()));
  auto report = resume(id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_THAT(watching.notices, testing::Contains(HasSubstr("its 15 rows are taken from")));
  EXPECT_EQ(text_of("out.csv"), expected);
  EXPECT_EQ(ledger().size(), kRows) << "no call was made twice";
}

TEST_F(KeptRowsOfBatches, AreFilledUpInAnOlderFile) {
  const std::string expected = whole();
  const std::string id = stopped_after(15, settings());
  {
    auto work = WorkFile::open(output());
    ASSERT_TRUE(work);
    EXPECT_EQ(*(*work)->rows(), 15);
  }
  ASSERT_TRUE(remove_work_file(output()));
  {
    auto work = WorkFile::open(output());
    ASSERT_TRUE(work);
    ASSERT_TRUE((*work)->begin(id));
  }
  auto report = resume(id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(text_of("out.csv"), expected);
  EXPECT_EQ(ledger().size(), kRows);
}

TEST_F(KeptRowsOfBatches, OfACompactedJournalAreRefusedBeforeACall) {
  const std::string expected = whole();
  RunSettings compacting = settings();
  compacting.compact_after = 30;
  const std::string id = stopped_after(25, compacting);
  ASSERT_GT(journal().find_run(id)->first_seq, 1U) << "it was compacted";
  const fs::path part = work_file_of(output());
  fs::rename(part, dir.path() / "aside");
  for (int times = 0; times < 2; ++times) {
    auto report = resume(id);
    ASSERT_FALSE(report);
    ASSERT_TRUE(report.error().error);
    EXPECT_EQ(report.error().error->code(), ErrorCode::kRunChanged);
    EXPECT_THAT(report.error().error->message(), HasSubstr("compacted"));
    EXPECT_EQ(ledger().size(), 25U) << "nothing was done in vain";
    EXPECT_FALSE(fs::exists(part));
    EXPECT_EQ(journal().find_run(id)->state, JournaledRunState::kOpen);
  }
  fs::rename(dir.path() / "aside", part);
  auto report = resume(id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(text_of("out.csv"), expected);
  EXPECT_EQ(ledger().size(), kRows);
}

TEST_F(KeptRowsOfBatches, AreNotWrittenOverWhatCameToBeThere) {
  const std::string id = stopped_after(5, settings());
  ASSERT_TRUE(remove_work_file(output()));
  dir.write("out.csv", "another's\n");
  auto report = resume(id);
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().error->message(), HasSubstr("another batch may have written it"));
  EXPECT_EQ(text_of("out.csv"), "another's\n");
  EXPECT_EQ(ledger().size(), 5U);
  report = resume_run({.run_id = id, .accept_changes = true}, settings(), watching);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_THAT(text_of("out.csv"), HasSubstr("n,text,noted"));
}

TEST_F(KeptRowsOfBatches, AreNotWantedByARunThatIsOnlyCancelled) {
  const std::string id = stopped_after(5, settings());
  ASSERT_TRUE(remove_work_file(output()));
  auto report = resume_run({.run_id = id, .cancel = "enough"}, settings(), watching);
  EXPECT_THAT(status(report), testing::StartsWith("cancelled"));
}

TEST_F(KeptRowsOfBatches, HaveToBeAForksOwn) {
  auto report = run_plan(batch_to("out.csv"), settings(), watching);
  ASSERT_EQ(status(report), "succeeded");
  auto plan = read_recorded_plan(*read_run_header(journal(), report->run_id));
  ASSERT_TRUE(plan);
  EXPECT_TRUE(batch_output(*plan->plan, {}));
  auto fork = prepare_fork(journal(), report->run_id, "finish", plan->plan);
  ASSERT_FALSE(fork);
  EXPECT_EQ(fork.error().code(), ErrorCode::kUsage);
  EXPECT_THAT(fork.error().message(), HasSubstr("Fork from put"));
  EXPECT_TRUE(prepare_fork(journal(), report->run_id, "put", plan->plan));
}

TEST(BatchOutputs, AreThoseOfBatchesOnly) {
  ParsedPlan parsed = parse_plan("sluice: 1\nsteps: {put: {value: 1}, begin: {value: 1}}\n", "p");
  ASSERT_TRUE(parsed.plan);
  EXPECT_FALSE(batch_output(*parsed.plan, "/folder"));
}

}  // namespace
}  // namespace sluice
