// How long programs stay away between two requests (a tool call, a person's thinking), learned per
// tool: the history that Continuum keeps to choose a time to live. A pure state machine; one
// thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class ReturnTimes {
 public:
  // A program that did `tool` ("" unknown) came back after `seconds`.
  void record(std::string_view tool, double seconds);
  // One that was expected has not come back (its program was released or forgotten after this
  // time).
  void record_lost(std::string_view tool, double seconds);

  // The probability that a program that has been away for `away_s` comes back within `within_s`
  // more seconds. From the tool's history, from all tools' where that is short, from a stated prior
  // where nothing is known.
  double returns_within(std::string_view tool, double away_s, double within_s) const;
  // Median of the time still to wait, given `away_s`; +inf when most do not return.
  double median_wait_s(std::string_view tool, double away_s) const;
  std::size_t samples(std::string_view tool) const;

 private:
  struct Sample {
    double seconds = 0;
    bool lost = false;
  };
  // The last samples of one tool; those that returned also in rising order.
  struct History {
    std::deque<Sample> latest;
    std::vector<double> returned;
    std::vector<double> lost;
    void add(Sample sample);
  };
  void add(std::string_view tool, Sample sample);
  const History& history(std::string_view tool) const;
  std::map<std::string, History, std::less<>> tools_;
  History all_;
};

}  // namespace sluice
