// The peers of bench/graph: oneTBB's flow graph in this process, LangGraph in a Python process of
// its own. Each measurement gives seconds for the whole graph.
#pragma once

#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>

namespace sluice::bench {

double tbb_chain_seconds(std::size_t nodes);
double tbb_wide_seconds(std::size_t nodes);
double tbb_pipeline_seconds(std::size_t items);  // three nodes, one message an item

class LangGraphPeer {
 public:
  // Empty python: not there. The graphs are built before the constructor returns.
  LangGraphPeer(const std::string& python, const std::string& script, std::size_t nodes);
  ~LangGraphPeer();
  LangGraphPeer(const LangGraphPeer&) = delete;
  LangGraphPeer& operator=(const LangGraphPeer&) = delete;
  bool running() const { return process_ > 0; }
  double seconds(const std::string& shape);  // "chain" or "wide"; negative when it failed

 private:
  std::string read_line();
  int process_ = 0;
  FILE* to_ = nullptr;
  FILE* from_ = nullptr;
};

double seconds_now();

}  // namespace sluice::bench
