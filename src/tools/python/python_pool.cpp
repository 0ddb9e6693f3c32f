#include "tools/python/python_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"
#include "data/json.h"
#include "tools/python/worker_script.h"
#include "tools/text.h"

namespace sluice {
namespace {

constexpr std::size_t kLengthBytes = 4;
// A frame may be this much larger than the limit that the worker itself holds to.
constexpr std::uint64_t kFrameSlackBytes = 1 << 20;
constexpr std::uint64_t kMaxFrameBytes = 1ull << 31;

std::string frame_of(std::string_view json) {
  std::string frame;
  frame.reserve(kLengthBytes + json.size());
  for (int shift = 24; shift >= 0; shift -= 8) {
    frame.push_back(static_cast<char>(json.size() >> shift & 0xFF));
  }
  frame.append(json);
  return frame;
}

std::uint64_t length_at(std::string_view bytes) {
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length = length << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return length;
}

std::string json_text(std::string_view text) { return to_json(Value::string(text)); }

}  // namespace

struct PythonPool::Job {
  OpenCallPtr open;  // null: a list
  std::shared_ptr<const PythonUnit> unit;
  std::string function;
  std::function<void(Result<Value>)> on_list;
};

struct PythonPool::Worker {
  std::shared_ptr<Child> child;
  std::set<std::uint64_t> known_units;
  std::optional<Job> job;
  std::string buffer;
  std::size_t taken = 0;  // bytes of the buffer that are done with
  bool greeted = false;
  bool reading = false;
  bool dead = false;
};

PythonPool::PythonPool(const boost::asio::any_io_executor& io, Options options)
    : io_(io), options_(std::move(options)) {}

PythonPool::~PythonPool() {
  for (auto& worker : workers_) {
    worker->dead = true;
    worker->child->abandon();
  }
  for (auto& child : dying_) child->abandon();
}

void PythonPool::call(const OpenCallPtr& open, std::shared_ptr<const PythonUnit> unit,
                      std::string function) {
  queue_.push_back(Job{open, std::move(unit), std::move(function), nullptr});
  dispatch();
}

void PythonPool::list(std::shared_ptr<const PythonUnit> unit,
                      std::function<void(Result<Value>)> on_list) {
  queue_.push_back(Job{nullptr, std::move(unit), "", std::move(on_list)});
  dispatch();
}

void PythonPool::end_job(Job& job, Result<Value> result) {
  if (!job.open) return job.on_list(std::move(result));
  if (result) {
    job.open->finish(std::move(*result));
  } else {
    job.open->fail(result.error());
  }
}

void PythonPool::dispatch() {
  while (!queue_.empty()) {
    if (queue_.front().open && queue_.front().open->ended()) {
      queue_.pop_front();
      continue;
    }
    WorkerPtr worker = worker_for(queue_.front());
    if (!worker && workers_.size() >= options_.max_workers) return;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    if (!worker) {
      auto started = start_worker();
      if (!started) {
        end_job(job, std::unexpected(started.error()));
        continue;
      }
      worker = *started;
    }
    give(worker, std::move(job));
  }
}

// An idle worker; one that has compiled the code already rather than another.
PythonPool::WorkerPtr PythonPool::worker_for(const Job& job) {
  WorkerPtr idle;
  for (const auto& worker : workers_) {
    if (worker->job) continue;
    if (worker->known_units.contains(job.unit->number)) return worker;
    idle = worker;
  }
  return idle;
}

Result<PythonPool::WorkerPtr> PythonPool::start_worker() {
  ChildOptions program = options_.worker;
  program.argv.emplace_back("-c");
  program.argv.emplace_back(kPythonWorkerScript);
  auto child = Child::start(io_, program);
  if (!child) return std::unexpected(child.error());
  auto worker = std::make_shared<Worker>();
  worker->child = std::move(*child);
  workers_.push_back(worker);
  std::weak_ptr<Worker> weak = worker;
  worker->child->on_exit([this, weak](const ChildExit& exit) {
    auto dead = weak.lock();
    if (dead && !dead->dead) on_death(dead, exit);
  });
  worker->child->on_error_line([label = options_.label](std::string_view line) {
    log(LogLevel::kInfo, label + ": " + one_line_start(line));
  });
  read(worker);
  return worker;
}

void PythonPool::give(const WorkerPtr& worker, Job job) {
  std::string request =
      fmt::format(R"({{"op":"{}","unit":{})", job.open ? "call" : "list", job.unit->number);
  if (worker->known_units.insert(job.unit->number).second) {
    request += fmt::format(R"(,"name":{},"text":{})", json_text(job.unit->name),
                           json_text(job.unit->text));
  }
  if (job.open) {
    const ToolCall& call = job.open->request();
    Value args = call.args.is_object() ? call.args : Value::object({});
    if (holds_blob(args)) {
      auto marked = mark_blobs(args);
      if (!marked) {
        worker->known_units.erase(job.unit->number);
        return end_job(job, std::unexpected(marked.error()));
      }
      args = std::move(*marked);
      request += R"(,"bytes":true)";
    }
    request += fmt::format(R"(,"function":{},"stream":{},"limit":{},"key":{},"args":)",
                           json_text(job.function), call.streaming, call.max_bytes,
                           json_text(call.idempotency_key));
    request += to_json(args, {.redact_secrets = false});
    std::weak_ptr<Worker> weak = worker;
    std::weak_ptr<OpenCall> weak_open = job.open;
    job.open->leave();
    job.open->on_stop([this, weak, weak_open] {
      if (auto running = weak.lock()) kill(running);
      if (auto open = weak_open.lock()) open->finish(Value());
      dispatch();
    });
    job.open->on_resume([this, weak] {
      auto running = weak.lock();
      if (running && !running->dead) take_frames(running);
    });
  }
  request += "}";
  worker->job = std::move(job);
  worker->child->write_input(frame_of(request));
}

// The one way to stop Python code that does not want to.
void PythonPool::kill(const WorkerPtr& worker) {
  if (worker->dead) return;
  worker->dead = true;
  worker->job.reset();
  workers_.remove(worker);
  auto child = worker->child;
  dying_.push_back(child);
  child->on_exit([this, raw = child.get()](const ChildExit&) {
    std::erase_if(dying_, [raw](const auto& other) { return other.get() == raw; });
  });
  child->kill();
}

void PythonPool::read(const WorkerPtr& worker) {
  worker->reading = true;
  std::weak_ptr<Worker> weak = worker;
  worker->child->read_output([this, weak](std::string_view bytes) {
    auto reader = weak.lock();
    if (!reader || reader->dead) return;
    reader->reading = false;
    if (bytes.empty()) return;  // on_exit tells the rest
    reader->buffer.erase(0, std::exchange(reader->taken, 0));
    reader->buffer.append(bytes);
    take_frames(reader);
  });
}

void PythonPool::take_frames(const WorkerPtr& worker) {
  while (!worker->dead) {
    if (worker->job && worker->job->open && worker->job->open->paused()) return;
    std::string_view rest = std::string_view(worker->buffer).substr(worker->taken);
    std::uint64_t length = rest.size() < kLengthBytes ? 0 : length_at(rest);
    std::uint64_t limit = kMaxFrameBytes;
    if (worker->job && worker->job->open && worker->job->open->request().max_bytes > 0) {
      limit = worker->job->open->request().max_bytes + kFrameSlackBytes;
    }
    if (length > limit) return lost_protocol(worker);
    if (rest.size() < kLengthBytes || rest.size() - kLengthBytes < length) break;
    worker->taken += kLengthBytes + length;
    rest = rest.substr(kLengthBytes, length);
    if (rest.empty() || !take_frame(worker, rest.front(), rest.substr(1))) {
      return lost_protocol(worker);
    }
  }
  if (!worker->dead && !worker->reading) read(worker);
}

// User code has written into our pipe, or memory ran wild: nothing that comes can be trusted.
void PythonPool::lost_protocol(const WorkerPtr& worker) {
  if (worker->dead) return;
  auto job = std::exchange(worker->job, std::nullopt);
  kill(worker);
  if (job) end_job(*job, fail(ErrorCode::kToolDied, "the Python worker lost its protocol"));
  dispatch();
}

// False when the worker does not keep to the protocol.
bool PythonPool::take_frame(const WorkerPtr& worker, char kind, std::string_view payload) {
  if (kind == 'h') {
    worker->greeted = true;
    return true;
  }
  if (!worker->job) return false;
  if (kind == 'e') {
    finish_job(worker, std::unexpected(error_of(payload, *worker->job->unit)));
    return true;
  }
  bool item = kind == 'i' || kind == 'I';
  if (!item && kind != 'r' && kind != 'R') return false;
  auto value = parse_json(payload);
  if (value && (kind == 'I' || kind == 'R')) value = restore_blobs(*value);
  if (item && value && worker->job->open) {
    auto open = worker->job->open;
    open->emit(std::move(*value));
    return true;
  }
  if (!value) {
    value =
        std::unexpected(Error(ErrorCode::kToolOutput, "the result is not JSON that Sluice takes")
                            .with_cause(value.error()));
  }
  if (item) {  // the generator behind it still runs
    Job job = std::move(*worker->job);
    kill(worker);
    end_job(job, std::move(value));
    dispatch();
    return true;
  }
  finish_job(worker, std::move(value));
  return true;
}

void PythonPool::finish_job(const WorkerPtr& worker, Result<Value> result) {
  if (!worker->job) return;
  Job job = std::move(*worker->job);
  worker->job.reset();
  end_job(job, std::move(result));
  dispatch();
}

void PythonPool::on_death(const WorkerPtr& worker, const ChildExit& exit) {
  worker->dead = true;
  workers_.remove(worker);
  if (worker->job) {
    Job job = std::move(*worker->job);
    std::string words = worker->child->error_tail();
    std::string what = fmt::format("the Python process of {} {}{}{}", options_.label,
                                   exit.to_string(), words.empty() ? "" : ": ", words);
    if (!worker->greeted && job.open) job.open->never_left();
    end_job(job, fail(worker->greeted ? ErrorCode::kToolDied : ErrorCode::kToolStart, what));
  }
  dispatch();
}

Error PythonPool::error_of(std::string_view payload, const PythonUnit& unit) const {
  auto report = parse_json(payload);
  if (!report) return Error(ErrorCode::kCodeFailed, "an exception that cannot be read");
  auto text = [&](std::string_view key) {
    const Value* value = report->find(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
  };
  const Value* too_large = report->find("too_large");
  if (too_large != nullptr && too_large->is_bool() && too_large->as_bool()) {
    return Error(ErrorCode::kToolTooLarge, text("message"));
  }
  const Value* line = report->find("line");
  std::string where;
  if (line != nullptr && line->is_int() && line->as_int() > 0) {
    bool is_file = unit.name.starts_with('/');
    std::string of = is_file ? unit.name.substr(unit.name.rfind('/') + 1) : "the code";
    where = fmt::format(" (line {} of {})", line->as_int(), of);
  }
  std::string words = text("message");
  return Error(ErrorCode::kCodeFailed,
               fmt::format("{}{}{}{}", text("type"), words.empty() ? "" : ": ", words, where));
}

}  // namespace sluice
