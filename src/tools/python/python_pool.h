// A pool of persistent Python processes that speak frames of JSON (worker.py). A worker runs one
// call at a time; code is sent to it once and compiled once. A worker that dies, or is killed
// because its call was cancelled or ran out of time, is replaced at the next call. I/O executor
// only.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "tools/child.h"
#include "tools/open_call.h"

namespace sluice {

// A text of Python with its functions.
struct PythonUnit {
  std::uint64_t number = 0;  // its key within a pool
  std::string text;
  std::string name;  // for messages and tracebacks; an absolute path is a file
};

class PythonPool {
 public:
  struct Options {
    ChildOptions worker;  // argv without the script
    std::uint32_t max_workers = 1;
    std::string label;  // "code", "tool stats"; for messages
  };

  PythonPool(const boost::asio::any_io_executor& io, Options options);
  ~PythonPool();  // kills the workers; nothing is called back any more
  PythonPool(const PythonPool&) = delete;
  PythonPool& operator=(const PythonPool&) = delete;

  // Calls `function(**args)` of the unit; ends `open` with the result, or streams a generator.
  void call(const OpenCallPtr& open, std::shared_ptr<const PythonUnit> unit, std::string function);
  // The unit's public functions as worker.py describes them.
  void list(std::shared_ptr<const PythonUnit> unit, std::function<void(Result<Value>)> on_list);

  std::size_t worker_count() const { return workers_.size(); }

 private:
  struct Worker;
  struct Job;
  using WorkerPtr = std::shared_ptr<Worker>;

  void dispatch();
  WorkerPtr worker_for(const Job& job);
  Result<WorkerPtr> start_worker();
  void give(const WorkerPtr& worker, Job job);
  void read(const WorkerPtr& worker);
  void take_frames(const WorkerPtr& worker);
  bool take_frame(const WorkerPtr& worker, char kind, std::string_view payload);
  void lost_protocol(const WorkerPtr& worker);
  void finish_job(const WorkerPtr& worker, Result<Value> result);
  void on_death(const WorkerPtr& worker, const ChildExit& exit);
  void kill(const WorkerPtr& worker);
  void end_job(Job& job, Result<Value> result);
  Error error_of(std::string_view payload, const PythonUnit& unit) const;

  boost::asio::any_io_executor io_;
  Options options_;
  std::deque<Job> queue_;
  std::list<WorkerPtr> workers_;
  std::list<std::shared_ptr<Child>> dying_;
};

// {"$bytes": base64} marks bytes inside JSON between us and a worker.
bool holds_blob(const Value& value);
Result<Value> mark_blobs(const Value& value);
Result<Value> restore_blobs(const Value& value);

}  // namespace sluice
