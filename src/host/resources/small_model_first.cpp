#include "host/resources/small_model_first.h"

#include <functional>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace sluice {
namespace {

void set_price(ModelUsage& usage, const ModelPrice& price) {
  usage.usd = static_cast<double>(usage.prompt_tokens) * price.usd_per_prompt_token +
              static_cast<double>(usage.completion_tokens) * price.usd_per_completion_token;
}

// A server that remembers keys must not take the second question for the first one.
constexpr std::string_view kFirstKeyEnd = "/first";

}  // namespace

std::optional<double> mean_logprob(const ModelReply& reply) {
  if (reply.logprobs.empty()) return std::nullopt;
  double sum = 0;
  std::size_t chosen = 0;
  for (const TokenLogprob& token : reply.logprobs) {
    if (token.forced) continue;
    sum += token.logprob;
    ++chosen;
  }
  return chosen == 0 ? 0 : sum / static_cast<double>(chosen);
}

class SmallModelFirst::Work : public std::enable_shared_from_this<Work> {
 public:
  Work(Model first, Model own, double least_logprob)
      : first_(first), own_(own), least_logprob_(least_logprob) {}

  const Model& own() const { return own_; }

  RequestId submit(ModelRequest request, ModelCallbacks callbacks,
                   std::shared_ptr<ModelUsage> lost) {
    const bool whole = !callbacks.on_text && request.tools.empty();
    std::lock_guard lock(mutex_);
    const RequestId id = next_id_++;
    Asked& asked = open_[id];
    asked.on_end = std::move(callbacks.on_end);
    asked.lost = std::move(lost);
    if (!whole) {
      ask_own(id, asked, std::move(request), std::move(callbacks.on_text));
      return id;
    }
    ModelRequest question = request;
    question.sampling.logprobs = true;
    if (!question.idempotency_key.empty()) question.idempotency_key += kFirstKeyEnd;
    asked.request = std::move(request);
    asked.at = first_.instance;
    ++counts_.asked;
    asked.at_id = first_.instance->submit(
        std::move(question),
        {.on_text = {}, .on_end = [self = shared_from_this(), id](Result<ModelReply> reply) {
           self->first_ended(id, std::move(reply));
         }});
    return id;
  }

  void cancel(RequestId id) {
    std::lock_guard lock(mutex_);
    auto found = open_.find(id);
    if (found == open_.end()) return;
    found->second.cancelled = true;
    found->second.at->cancel(found->second.at_id);
  }

  // Nobody is asked any more, and what is open is cancelled: its models may be gone soon.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    for (auto& [id, asked] : open_) asked.at->cancel(asked.at_id);
  }

  Counts counts() const {
    std::lock_guard lock(mutex_);
    return counts_;
  }

 private:
  struct Asked {
    ModelRequest request;  // until the second model is asked
    std::function<void(Result<ModelReply>)> on_end;
    ModelInstance* at = nullptr;  // who has it
    RequestId at_id = 0;
    ModelUsage earlier;  // of an answer that is not taken
    std::shared_ptr<ModelUsage> lost;
    bool cancelled = false;
  };
  using Open = std::unordered_map<RequestId, Asked>;

  void ask_own(RequestId id, Asked& asked, ModelRequest request,
               std::function<void(std::string_view)> on_text) {
    asked.at = own_.instance;
    asked.at_id = own_.instance->submit(
        std::move(request), {.on_text = std::move(on_text),
                             .on_end = [self = shared_from_this(), id](Result<ModelReply> reply) {
                               self->own_ended(id, std::move(reply));
                             }});
  }

  void first_ended(RequestId id, Result<ModelReply> reply) {
    std::unique_lock lock(mutex_);
    auto found = open_.find(id);
    if (found == open_.end()) return;
    Asked& asked = found->second;
    if (reply) set_price(reply->usage, first_.price);
    if (!goes_on(asked, reply)) return end(lock, found, std::move(reply));
    if (reply) asked.earlier = reply->usage;
    if (closed_ || asked.cancelled) {
      return end(lock, found, fail(ErrorCode::kCancelled, "the request was cancelled"));
    }
    ask_own(id, asked, std::move(asked.request), {});
  }

  // Whether the second model is to be asked. Counts why.
  bool goes_on(const Asked& asked, const Result<ModelReply>& reply) {
    if (!reply) {
      // A limit of time is one for both together.
      const ErrorCode code = reply.error().code();
      if (code == ErrorCode::kCancelled) return false;
      if (code == ErrorCode::kTimeout && asked.request.timeout_ms > 0) return false;
      if (++counts_.failed == 1) counts_.first_failure = reply.error().message();
      return true;
    }
    const std::optional<double> sure = mean_logprob(*reply);
    if (!sure && reply->usage.completion_tokens > 0) ++counts_.untold;
    if (!sure || !(*sure >= least_logprob_)) return true;
    ++counts_.taken;
    return false;
  }

  void own_ended(RequestId id, Result<ModelReply> reply) {
    std::unique_lock lock(mutex_);
    auto found = open_.find(id);
    if (found == open_.end()) return;
    if (reply) {
      set_price(reply->usage, own_.price);
      reply->earlier = found->second.earlier;
    }
    end(lock, found, std::move(reply));
  }

  void end(std::unique_lock<std::mutex>& lock, Open::iterator at, Result<ModelReply> reply) {
    if (!reply && at->second.lost) *at->second.lost = at->second.earlier;
    auto on_end = std::move(at->second.on_end);
    open_.erase(at);
    lock.unlock();
    if (on_end) on_end(std::move(reply));
  }

  const Model first_;
  const Model own_;
  const double least_logprob_;
  mutable std::mutex mutex_;
  Open open_;
  Counts counts_;
  RequestId next_id_ = 1;
  bool closed_ = false;
};

SmallModelFirst::SmallModelFirst(Model first, Model own, double least_logprob)
    : work_(std::make_shared<Work>(first, own, least_logprob)) {}

SmallModelFirst::~SmallModelFirst() { work_->close(); }

const ModelInfo& SmallModelFirst::info() const { return work_->own().instance->info(); }

RequestId SmallModelFirst::submit(ModelRequest request, ModelCallbacks callbacks,
                                  std::shared_ptr<ModelUsage> lost) {
  return work_->submit(std::move(request), std::move(callbacks), std::move(lost));
}

void SmallModelFirst::cancel(RequestId id) { work_->cancel(id); }

void SmallModelFirst::prefetch(const ModelRequest& request) {
  work_->own().instance->prefetch(request);
}

void SmallModelFirst::release(std::string_view program) { work_->own().instance->release(program); }

Result<std::vector<std::vector<float>>> SmallModelFirst::embed(
    const std::vector<std::string>& texts) {
  return work_->own().instance->embed(texts);
}

Result<std::size_t> SmallModelFirst::count_tokens(std::string_view text) {
  return work_->own().instance->count_tokens(text);
}

SmallModelFirst::Counts SmallModelFirst::counts() const { return work_->counts(); }

}  // namespace sluice
