// Live progress on stderr: a few lines that redraw on a terminal, else one plain line every two
// seconds. Only shows what SummaryFold has counted. The run's thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "cli/terminal.h"
#include "host/runs/run_service.h"

namespace sluice::cli {

// What the last seconds brought: tasks and tokens per second.
class Rates {
 public:
  void sample(SteadyNs now, std::uint64_t tasks, std::uint64_t tokens);
  double tasks_per_second() const;
  double tokens_per_second() const;

 private:
  struct Sample {
    SteadyNs at;
    std::uint64_t tasks;
    std::uint64_t tokens;
  };
  std::deque<Sample> samples_;
};

// The longest that any step still needs at the speed it has had; nullopt when nobody can tell.
std::optional<std::int64_t> time_left_ns(const RunSummary& summary, SteadyNs now);

class Progress {
 public:
  explicit Progress(Terminal terminal) : terminal_(terminal) {}

  // The run is a batch over so many rows: they are what people want to hear of.
  void expect_rows(std::uint64_t rows) { rows_expected_ = rows; }
  // `now`: in the life of the run, as the summary's times are.
  void show(const RunSummary& summary, const EngineStats& engines, SteadyNs now);
  // A line that stays, above what redraws.
  void say(std::string_view line);
  void clear();  // takes the redrawn lines away

 private:
  void redraw(const RunSummary& summary, SteadyNs now);
  void print_plain(const RunSummary& summary, SteadyNs now);
  std::string speed_text(const RunSummary& summary, SteadyNs now) const;
  std::string rows_text(const RunSummary& summary, SteadyNs now) const;

  Terminal terminal_;
  Rates rates_;
  Rates row_rates_;
  std::uint64_t rows_expected_ = 0;  // 0: no batch
  int drawn_lines_ = 0;
  SteadyNs last_plain_ = 0;
};

}  // namespace sluice::cli
