#include "tools/process/process_tool.h"

#include <fmt/format.h>

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "base/log.h"
#include "data/json.h"
#include "tools/basic_tool.h"
#include "tools/child.h"
#include "tools/process/line_splitter.h"
#include "tools/text.h"

namespace sluice {
namespace {

constexpr int kGraceMs = 1000;  // between SIGTERM and SIGKILL
constexpr int kDrainMs = 500;   // for output that an escaped grandchild may still hold open

enum class OutputForm { kJson, kText, kLines };

// One call: its program, what came out so far, and how it ends.
class ProcessRun : public std::enable_shared_from_this<ProcessRun> {
 public:
  ProcessRun(OpenCallPtr call, std::shared_ptr<Child> child, OutputForm form, std::string name,
             const boost::asio::any_io_executor& io)
      : call_(std::move(call)),
        child_(std::move(child)),
        form_(form),
        name_(std::move(name)),
        drain_timer_(io),
        splitter_(call_->request().max_bytes) {}

  void start(const std::string& input) {
    auto self = shared_from_this();
    call_->on_stop([self] {
      self->child_->terminate(kGraceMs);
      self->pump();
    });
    call_->on_resume([self] { self->pump(); });
    child_->on_exit([self](const ChildExit& exit) {
      self->exit_ = exit;
      self->pump();
    });
    child_->on_error_line([name = name_](std::string_view line) {
      log(LogLevel::kInfo, name + ": " + one_line_start(line));
    });
    child_->write_input(input);
    child_->close_input();
    pump();
  }

  // The tool goes away: nothing of it may stay.
  void abandon() {
    drain_timer_.cancel();
    child_->abandon();
  }

 private:
  bool streaming() const { return form_ == OutputForm::kLines && call_->request().streaming; }
  // Nobody wants the output any more; it is read all the same, so that the program can end.
  bool discarding() const { return call_->stopping() || failure_.has_value(); }

  // Moves everything on that can move: lines to items, bytes out of the pipe, the end.
  void pump() {
    if (call_->ended()) return;
    take_lines();
    if (call_->ended() || conclude()) return;
    if (output_ended_ || reading_ || (call_->paused() && !discarding())) return;
    if (exit_) arm_drain_timer();
    reading_ = true;
    child_->read_output([self = shared_from_this()](std::string_view bytes) {
      self->reading_ = false;
      self->take(bytes);
      self->pump();
    });
  }

  void take(std::string_view bytes) {
    if (bytes.empty()) {
      output_ended_ = true;
      splitter_.end();
      return;
    }
    if (discarding()) return;
    total_bytes_ += bytes.size();
    if (form_ == OutputForm::kLines) {
      splitter_.add(bytes);
    } else {
      output_.append(bytes);
    }
    // A stream is bounded by its consumer; only a single line of it can be too large.
    std::uint64_t limit = call_->request().max_bytes;
    if (!streaming() && limit > 0 && total_bytes_ > limit) give_up(too_large());
  }

  // Turns whole lines into items as long as the consumer wants them.
  void take_lines() {
    if (form_ != OutputForm::kLines) return;
    while (!call_->paused() && !call_->ended() && !discarding()) {
      auto line = splitter_.next();
      if (splitter_.too_long()) return give_up(too_large());
      if (!line) {
        lines_taken_ = output_ended_;
        return;
      }
      auto item = Value::from_utf8(*line);
      if (!item) return give_up(not_text("line", item.error()));
      if (streaming()) {
        call_->emit(std::move(*item));
      } else {
        lines_.push_back(std::move(*item));
      }
    }
  }

  void give_up(Error error) {
    failure_ = std::move(error);
    child_->kill();
  }

  // When the program has ended but something that left its group still holds its output open.
  void arm_drain_timer() {
    drain_timer_.expires_after(std::chrono::milliseconds(kDrainMs));
    drain_timer_.async_wait([weak = weak_from_this()](boost::system::error_code failed) {
      auto self = weak.lock();
      if (!self || failed || self->call_->paused()) return;
      self->output_ended_ = true;
      self->splitter_.end();
      self->pump();
    });
  }

  bool conclude() {
    if (!exit_) return false;
    bool all_taken = output_ended_ && (form_ != OutputForm::kLines || lines_taken_);
    if (!all_taken && !discarding()) return false;
    drain_timer_.cancel();
    child_->abandon();
    auto output = outcome();
    if (output) {
      call_->finish(std::move(*output));
    } else {
      call_->fail(output.error());
    }
    return true;
  }

  Error too_large() const {
    return Error(
        ErrorCode::kToolTooLarge,
        fmt::format("{} wrote {} over {} bytes; raise max_bytes or let it write less", name_,
                    streaming() ? "a line of" : "an output of", call_->request().max_bytes));
  }
  Error not_text(std::string_view what, const Error& cause) const {
    return Error(ErrorCode::kToolOutput,
                 fmt::format("{} wrote a {} that is not UTF-8 text", name_, what))
        .with_cause(cause);
  }

  Result<Value> outcome() {
    if (failure_) return std::unexpected(*failure_);
    if (exit_->signal != 0 || exit_->code != 0) {
      std::string words = child_->error_tail();
      return fail(
          exit_->signal != 0 ? ErrorCode::kToolDied : ErrorCode::kToolFailed,
          fmt::format("{} {}{}{}", name_, exit_->to_string(), words.empty() ? "" : ": ", words));
    }
    if (form_ == OutputForm::kLines) {
      return streaming() ? Value() : Value::array(std::move(lines_));
    }
    if (form_ == OutputForm::kText) {
      auto text = Value::from_utf8(output_);
      if (!text) return std::unexpected(not_text("text", text.error()));
      return text;
    }
    auto json = parse_json(output_);
    if (json) return json;
    return std::unexpected(
        Error(ErrorCode::kToolOutput,
              fmt::format("{} wrote something that is not JSON (\"{}\"); set stdout: text or lines "
                          "if that is what it writes",
                          name_, one_line_start(output_, 80)))
            .with_cause(json.error()));
  }

  OpenCallPtr call_;
  std::shared_ptr<Child> child_;
  OutputForm form_;
  std::string name_;
  boost::asio::steady_timer drain_timer_;
  LineSplitter splitter_;
  std::string output_;
  std::vector<Value> lines_;
  std::uint64_t total_bytes_ = 0;
  std::optional<Error> failure_;
  std::optional<ChildExit> exit_;
  bool reading_ = false;
  bool output_ended_ = false;
  bool lines_taken_ = false;
};

class ProcessTool final : public ClosedTool {
 public:
  ProcessTool(const ToolSettings& settings, ChildOptions program, OutputForm form)
      : ClosedTool("process", settings), program_(std::move(program)), form_(form) {}

  ~ProcessTool() override {
    calls().drop_all();
    for (auto& weak : runs_) {
      if (auto run = weak.lock()) run->abandon();
    }
  }

 private:
  void start(const OpenCallPtr& open) override {
    const ToolCall& request = open->request();
    ChildOptions program = program_;
    if (request.function != "run") {
      return open->fail(Error(ErrorCode::kToolUnknown,
                              "a process tool has one function, run, not " + request.function));
    }
    if (const Value* args = request.args.find("args"); args != nullptr && !args->is_null()) {
      if (!args->is_array()) {
        return open->fail(Error(ErrorCode::kArgInvalid, "args must be a list of texts"));
      }
      for (const Value& argument : args->items()) program.argv.push_back(argument_text(argument));
    }
    std::string input;
    if (const Value* given = request.args.find("stdin"); given != nullptr && !given->is_null()) {
      auto bytes = body_bytes(*given);
      if (!bytes) return open->fail(bytes.error());
      input = std::move(*bytes);
    }
    if (!request.idempotency_key.empty()) {
      program.environment.emplace_back("SLUICE_KEY", request.idempotency_key);
    }
    auto child = Child::start(calls().environment().io, program);
    if (!child) return open->fail(child.error());
    open->leave();
    std::erase_if(runs_, [](const auto& weak) { return weak.expired(); });
    auto run = std::make_shared<ProcessRun>(open, std::move(*child), form_, program_.argv[0],
                                            calls().environment().io);
    runs_.push_back(run);
    run->start(input);
  }

  ChildOptions program_;
  OutputForm form_;
  std::vector<std::weak_ptr<ProcessRun>> runs_;
};

}  // namespace

Result<std::unique_ptr<Tool>> open_process_tool(const ToolSettings& settings) {
  auto program = setting_program(settings);
  if (!program) return std::unexpected(program.error());

  std::string form = setting_text(settings.values, "stdout", "json");
  if (form != "json" && form != "text" && form != "lines") {
    return fail(ErrorCode::kSettingInvalid,
                fmt::format("stdout must be json, text or lines, not {}", one_line_start(form)));
  }
  auto parsed = form == "lines"  ? OutputForm::kLines
                : form == "text" ? OutputForm::kText
                                 : OutputForm::kJson;
  return std::make_unique<ProcessTool>(settings, std::move(*program), parsed);
}

}  // namespace sluice
