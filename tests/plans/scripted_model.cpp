#include "tests/plans/scripted_model.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "data/json.h"

namespace sluice::plantest {
namespace {

std::string last_words(const ModelRequest& request) {
  if (!request.messages.empty()) return request.messages.back().content;
  std::string text;
  for (const PromptSegment& segment : request.prompt) text += segment.text.text;
  return text;
}

std::string_view text_of(const Value& line, std::string_view key) {
  const Value* found = line.find(key);
  return found != nullptr && found->is_string() ? found->as_string() : std::string_view();
}

Result<ModelReply> reply_of(const Value& line) {
  if (std::string_view name = text_of(line, "error"); !name.empty()) {
    auto code = error_code_from_name(name);
    return fail(code.value_or(ErrorCode::kInternal), std::string(text_of(line, "message")));
  }
  ModelReply reply;
  reply.usage.prompt_tokens = 1;
  reply.usage.completion_tokens = 1;
  if (const Value* tokens = line.find("completion_tokens")) {
    reply.usage.completion_tokens = static_cast<std::uint64_t>(tokens->as_int());
  }
  reply.text = std::string(text_of(line, "text"));
  if (const Value* sure = line.find("logprob")) {
    reply.logprobs.push_back({.token = reply.text, .logprob = sure->as_double()});
  }
  if (const Value* json = line.find("json")) {
    reply.json = *json;
    reply.text = to_json(*json);
  }
  if (const Value* calls = line.find("tool_calls")) {
    reply.tool_calls = *calls;
    reply.finish = FinishReason::kToolCalls;
  }
  return reply;
}

class ScriptedModel final : public ModelInstance {
 public:
  explicit ScriptedModel(std::vector<Value> lines) : lines_(std::move(lines)) {
    info_.id = "default";
    info_.description = "scripted";
    info_.has_chat_template = true;
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedModel() override {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  const ModelInfo& info() const override { return info_; }

  RequestId submit(ModelRequest request, ModelCallbacks callbacks) override {
    std::lock_guard lock(mutex_);
    queue_.push_back({take_reply(last_words(request)), std::move(callbacks)});
    wake_.notify_all();
    return ++last_id_;
  }
  void cancel(RequestId) override {}

  Result<std::vector<std::vector<float>>> embed(const std::vector<std::string>&) override {
    return fail(ErrorCode::kModelRefused, "a scripted model does not embed");
  }
  Result<std::size_t> count_tokens(std::string_view text) override { return text.size(); }

 private:
  struct Waiting {
    Result<ModelReply> reply;
    ModelCallbacks callbacks;
  };

  Result<ModelReply> take_reply(const std::string& words) {
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (words.find(text_of(lines_[i], "when")) == std::string::npos) continue;
      Value line = lines_[i];
      if (line.find("repeat") == nullptr) lines_.erase(lines_.begin() + static_cast<long>(i));
      return reply_of(line);
    }
    return fail(ErrorCode::kModelRefused, "the script has no reply left for: " + words);
  }

  void serve() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (queue_.empty()) return;
      Waiting next = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      next.callbacks.on_end(std::move(next.reply));
      lock.lock();
    }
  }

  ModelInfo info_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Value> lines_;
  std::deque<Waiting> queue_;
  RequestId last_id_ = 0;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<ModelInstance>> make_scripted_model(std::string_view script) {
  std::vector<Value> lines;
  std::istringstream in{std::string(script)};
  for (std::string text; std::getline(in, text);) {
    if (text.empty()) continue;
    auto line = parse_json(text);
    if (!line) return std::unexpected(line.error());
    lines.push_back(std::move(*line));
  }
  return std::make_unique<ScriptedModel>(std::move(lines));
}

}  // namespace sluice::plantest
