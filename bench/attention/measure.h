// How every row of bench/attention is measured: all sides in turns, each under the kernel that it
// names, with proof that this kernel and no other did the work. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::bench {

// The sides, as columns and in JSON. kPool: stock on the pool that ours uses, where kOn is not.
inline constexpr std::string_view kOn = "on";
inline constexpr std::string_view kOff = "off";
inline constexpr std::string_view kOurs = "ours";
inline constexpr std::string_view kPool = "pool";

// One turn of one side: how fast it was, and what came out (to see that all sides did the same).
struct Turn {
  double speed = 0;
  std::vector<float> output;
};

struct Side {
  std::string_view name;
  std::function<Turn()> turn;
};

// What `ours` must reach, as a multiple; 0: no bar.
struct Bars {
  double on = 0;      // of stock with flash attention on, llama.cpp's default
  double better = 0;  // of the better of on and off
};

struct Row {
  std::string name;
  std::string title;
  std::string unit;
  Bars bars;
};

struct SideResult {
  std::string name;
  std::vector<double> rounds;  // in the order of the rounds
  double difference = 0;       // of its output from the first side's, at most
};

struct Ratio {
  double median = 0;
  double low = 0;
  double high = 0;
};

struct RowResult {
  Row row;
  std::vector<SideResult> sides;
  double cores = 1;        // the least share of the cores that a turn's threads had
  bool disturbed = false;  // too small a share
  std::vector<std::pair<std::string, double>> facts;  // computed beside the row: bounds, shares

  const SideResult* side(std::string_view name) const;
  const SideResult* better() const;  // of kOn and kOff, by their medians
};

struct Settings {
  std::string model;
  std::string json;
  std::vector<std::string> rows;  // empty: all
  int rounds = 5;
  int threads = 1;
  std::vector<std::string> sides;  // empty: all

  bool wanted(std::string_view row) const;  // named, or its name starts with a named one
  bool takes(std::string_view side) const;
};

double median(std::vector<double> values);
// Round by round, as both were measured one after the other.
Ratio ratio(const SideResult& ours, const SideResult& other);
double seconds_now();
[[noreturn]] void fail(std::string_view what);
void progress(std::string_view what);  // a line on stderr

// Runs `work` with our kernel or with ggml's and ends the program if another one did the work.
void with_kernel(bool ours, std::string_view where, const std::function<void()>& work);

// A turn of each side to warm up, then settings.rounds rounds; each begins with another side.
RowResult measure(const Settings& settings, const Row& row, const std::vector<Side>& sides);

}  // namespace sluice::bench
