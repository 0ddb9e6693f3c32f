#include "models/openai_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <future>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include "models/http_exchange.h"
#include "models/openai_wire.h"

namespace sluice {
namespace {

struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

using Embeddings = Result<std::vector<std::vector<float>>>;

// A request from submit to its end. Made by the caller, then owned by the client's thread.
struct Job {
  RequestId id = 0;
  ModelRequest request;
  ModelCallbacks callbacks;
  std::vector<std::string> texts;  // to embed; then on_vectors is set and the request is empty
  std::function<void(Embeddings)> on_vectors;
  ReplyReader reader;
  std::optional<Error> broken;  // a stream event that is not what it should be
  std::unique_ptr<HttpExchange> exchange;

  void end(Result<ModelReply> result) {
    if (on_vectors) {
      on_vectors(std::unexpected(result.error()));
    } else if (callbacks.on_end) {
      callbacks.on_end(std::move(result));
    }
  }
};

class OpenAiClient final : public ModelInstance {
 public:
  explicit OpenAiClient(OpenAiOptions options);
  ~OpenAiClient() override;

  const ModelInfo& info() const override { return info_; }
  RequestId submit(ModelRequest request, ModelCallbacks callbacks) override;
  void cancel(RequestId id) override;
  Embeddings embed(const std::vector<std::string>& texts) override;
  Result<std::size_t> count_tokens(std::string_view) override {
    return fail(ErrorCode::kModelRefused, "a server of this kind does not count tokens");
  }

 private:
  RequestId enqueue(std::unique_ptr<Job> job);
  void loop();
  void take_new();
  void start(std::unique_ptr<Job> job);
  void take_finished();
  void finish(Job& job, CURLcode code);
  void on_event(Job& job, std::string_view data);
  void drop(RequestId id, const Error& error);

  OpenAiOptions options_;
  ModelInfo info_;
  std::unique_ptr<CURLM, MultiDeleter> multi_;
  std::unordered_map<RequestId, std::unique_ptr<Job>> running_;  // the client's thread only

  std::mutex mutex_;
  std::vector<std::unique_ptr<Job>> new_;
  std::set<RequestId> cancelled_;
  RequestId next_id_ = 1;
  bool stop_ = false;
  std::thread thread_;
};

OpenAiClient::OpenAiClient(OpenAiOptions options)
    : options_(std::move(options)), multi_(curl_multi_init()) {
  info_.id = options_.id;
  info_.description = options_.model.empty()
                          ? "at " + options_.url
                          : fmt::format("{} at {}", options_.model, options_.url);
  info_.has_chat_template = true;
  info_.can_embed = true;
  auto most = static_cast<long>(std::max(1U, options_.max_connections));
  curl_multi_setopt(multi_.get(), CURLMOPT_MAX_TOTAL_CONNECTIONS, most);
  curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, most);
  thread_ = std::thread([this] { loop(); });
}

OpenAiClient::~OpenAiClient() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  curl_multi_wakeup(multi_.get());
  thread_.join();
}

RequestId OpenAiClient::enqueue(std::unique_ptr<Job> job) {
  std::lock_guard lock(mutex_);
  RequestId id = next_id_++;
  job->id = id;
  new_.push_back(std::move(job));
  curl_multi_wakeup(multi_.get());
  return id;
}

RequestId OpenAiClient::submit(ModelRequest request, ModelCallbacks callbacks) {
  auto job = std::make_unique<Job>();
  job->request = std::move(request);
  job->callbacks = std::move(callbacks);
  return enqueue(std::move(job));
}

void OpenAiClient::cancel(RequestId id) {
  std::lock_guard lock(mutex_);
  cancelled_.insert(id);
  curl_multi_wakeup(multi_.get());
}

Embeddings OpenAiClient::embed(const std::vector<std::string>& texts) {
  if (texts.empty()) return std::vector<std::vector<float>>();
  auto job = std::make_unique<Job>();
  job->texts = texts;
  auto done = std::make_shared<std::promise<Embeddings>>();
  job->on_vectors = [done](Embeddings vectors) { done->set_value(std::move(vectors)); };
  enqueue(std::move(job));
  return done->get_future().get();
}

void OpenAiClient::loop() {
  while (true) {
    take_new();
    {
      std::lock_guard lock(mutex_);
      if (stop_) break;
    }
    int active = 0;
    curl_multi_perform(multi_.get(), &active);
    take_finished();
    curl_multi_poll(multi_.get(), nullptr, 0, 1000, nullptr);
  }
  Error error(ErrorCode::kCancelled, "the model instance was shut down");
  while (!running_.empty()) drop(running_.begin()->first, error);
}

void OpenAiClient::take_new() {
  std::unique_lock lock(mutex_);
  auto jobs = std::exchange(new_, {});
  auto cancelled = std::exchange(cancelled_, {});
  lock.unlock();
  for (auto& job : jobs) start(std::move(job));
  Error error(ErrorCode::kCancelled, "the request was cancelled");
  for (RequestId id : cancelled) drop(id, error);
}

void OpenAiClient::start(std::unique_ptr<Job> job) {
  ExchangeOptions settings{.timeout_ms = options_.timeout_ms,
                           .idempotency_key = job->request.idempotency_key};
  if (job->request.timeout_ms > 0) {
    settings.timeout_ms = std::min(settings.timeout_ms, job->request.timeout_ms);
  }
  bool stream = static_cast<bool>(job->callbacks.on_text);
  auto call = job->on_vectors ? openai_embedding_call(job->texts, options_)
                              : openai_call(job->request, options_, stream);
  if (!call) {
    job->end(std::unexpected(call.error()));
    return;
  }
  Job* raw = job.get();
  job->exchange =
      std::make_unique<HttpExchange>(options_, std::move(*call), settings,
                                     [this, raw](std::string_view data) { on_event(*raw, data); });
  curl_multi_add_handle(multi_.get(), job->exchange->handle());
  running_.emplace(job->id, std::move(job));
}

void OpenAiClient::on_event(Job& job, std::string_view data) {
  if (job.broken) return;
  auto text = job.reader.chunk(data);
  if (!text) {
    job.broken = text.error();
  } else if (!text->empty() && job.callbacks.on_text) {
    job.callbacks.on_text(*text);
  }
}

void OpenAiClient::take_finished() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode code = message->data.result;
    CURL* handle = message->easy_handle;
    curl_multi_remove_handle(multi_.get(), handle);
    auto found = std::ranges::find_if(
        running_, [&](auto& entry) { return entry.second->exchange->handle() == handle; });
    auto job = std::move(found->second);
    running_.erase(found);
    finish(*job, code);
  }
}

void OpenAiClient::finish(Job& job, CURLcode code) {
  auto failure = job.exchange->failure(code);
  bool streamed = job.exchange->streamed();
  // What matters has arrived when the last event has, however the connection ends.
  if (streamed && job.reader.done() && !job.broken) failure.reset();
  if (!failure) failure = job.broken;
  if (failure) {
    job.end(std::unexpected(*failure));
    return;
  }
  if (job.on_vectors) {
    job.on_vectors(read_embeddings(job.exchange->body(), job.texts.size()));
    return;
  }
  if (streamed && !job.reader.done()) {
    job.end(fail(ErrorCode::kModelFailed,
                 fmt::format("{} ended its stream in the middle of the answer", options_.url)));
    return;
  }
  if (!streamed) {
    if (auto read = job.reader.whole(job.exchange->body()); !read) {
      job.end(std::unexpected(read.error()));
      return;
    }
  }
  auto reply = job.reader.finish(job.request);
  // A server that ignores `stream` answers at once.
  if (reply && !streamed && job.callbacks.on_text && !reply->text.empty()) {
    job.callbacks.on_text(reply->text);
  }
  job.end(std::move(reply));
}

void OpenAiClient::drop(RequestId id, const Error& error) {
  auto found = running_.find(id);
  if (found == running_.end()) return;
  auto job = std::move(found->second);
  running_.erase(found);
  curl_multi_remove_handle(multi_.get(), job->exchange->handle());
  job->end(std::unexpected(error));
}

bool one_line(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c != 0x7F; });
}

}  // namespace

Result<std::unique_ptr<ModelInstance>> open_openai_client(const OpenAiOptions& options) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  OpenAiOptions checked = options;
  while (checked.url.ends_with('/')) checked.url.pop_back();
  bool http = checked.url.starts_with("http://") || checked.url.starts_with("https://");
  if (!http || !one_line(checked.url)) {
    return fail(ErrorCode::kSettingInvalid,
                fmt::format("the url of model {} is not an http or https address, such as "
                            "http://127.0.0.1:8080/v1: {}",
                            options.id, options.url));
  }
  if (!one_line(checked.key)) {
    return fail(ErrorCode::kSettingInvalid,
                fmt::format("the key of model {} holds a blank or a line break; a key file must "
                            "hold nothing but the key",
                            options.id));
  }
  return std::make_unique<OpenAiClient>(std::move(checked));
}

}  // namespace sluice
