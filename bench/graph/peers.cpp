#include "bench/graph/peers.h"

#include <signal.h>
#include <sys/wait.h>
#include <tbb/flow_graph.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/clock.h"

namespace sluice::bench {

double seconds_now() { return static_cast<double>(system_clock().steady_ns()) / kNsPerSecond; }

double tbb_chain_seconds(std::size_t nodes) {
  using Node = tbb::flow::continue_node<tbb::flow::continue_msg>;
  tbb::flow::graph graph;
  std::vector<std::unique_ptr<Node>> chain;
  for (std::size_t i = 0; i < nodes; ++i) {
    chain.push_back(
        std::make_unique<Node>(graph, [](const tbb::flow::continue_msg& m) { return m; }));
    if (i > 0) tbb::flow::make_edge(*chain[i - 1], *chain[i]);
  }
  double start = seconds_now();
  chain[0]->try_put(tbb::flow::continue_msg());
  graph.wait_for_all();
  return seconds_now() - start;
}

double tbb_wide_seconds(std::size_t nodes) {
  using Node = tbb::flow::continue_node<tbb::flow::continue_msg>;
  tbb::flow::graph graph;
  tbb::flow::broadcast_node<tbb::flow::continue_msg> source(graph);
  Node sink(graph, [](const tbb::flow::continue_msg& m) { return m; });
  std::vector<std::unique_ptr<Node>> wide;
  for (std::size_t i = 0; i < nodes; ++i) {
    wide.push_back(
        std::make_unique<Node>(graph, [](const tbb::flow::continue_msg& m) { return m; }));
    tbb::flow::make_edge(source, *wide[i]);
    tbb::flow::make_edge(*wide[i], sink);
  }
  double start = seconds_now();
  source.try_put(tbb::flow::continue_msg());
  graph.wait_for_all();
  return seconds_now() - start;
}

double tbb_pipeline_seconds(std::size_t items) {
  using Node = tbb::flow::function_node<int, int>;
  tbb::flow::graph graph;
  std::atomic<long> sum = 0;
  Node a(graph, tbb::flow::unlimited, [](int v) { return v; });
  Node b(graph, tbb::flow::unlimited, [](int v) { return v; });
  Node c(graph, tbb::flow::unlimited, [&](int v) {
    sum.fetch_add(v, std::memory_order_relaxed);
    return v;
  });
  tbb::flow::make_edge(a, b);
  tbb::flow::make_edge(b, c);
  double start = seconds_now();
  for (std::size_t i = 0; i < items; ++i) a.try_put(static_cast<int>(i));
  graph.wait_for_all();
  return seconds_now() - start;
}

LangGraphPeer::LangGraphPeer(const std::string& python, const std::string& script,
                             std::size_t nodes) {
  if (python.empty()) return;
  int in[2], out[2];
  if (pipe(in) != 0 || pipe(out) != 0) return;
  std::string count = std::to_string(nodes);
  process_ = fork();
  if (process_ == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    close(in[1]);
    close(out[0]);
    execl(python.c_str(), python.c_str(), script.c_str(), count.c_str(), nullptr);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  to_ = fdopen(in[1], "w");
  from_ = fdopen(out[0], "r");
  if (read_line().find("ready") != std::string::npos) return;
  std::fprintf(stderr, "LangGraph did not start with %s; its column is left out\n", python.c_str());
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = 0;
}

LangGraphPeer::~LangGraphPeer() {
  if (to_) fclose(to_);
  if (process_ > 0) waitpid(process_, nullptr, 0);
  if (from_) fclose(from_);
}

std::string LangGraphPeer::read_line() {
  char line[512];
  return std::fgets(line, sizeof line, from_) ? line : "";
}

double LangGraphPeer::seconds(const std::string& shape) {
  std::fprintf(to_, "%s\n", shape.c_str());
  std::fflush(to_);
  std::string line = read_line();
  std::size_t colon = line.find(':');
  return colon == std::string::npos ? -1 : std::strtod(line.c_str() + colon + 1, nullptr);
}

}  // namespace sluice::bench
