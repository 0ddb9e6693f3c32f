#include "serve/embedding_route.h"

#include <atomic>
#include <thread>
#include <utility>

#include "serve/embedding_call.h"
#include "serve/openai_reply.h"
#include "serve/request_body.h"

namespace sluice {

namespace asio = boost::asio;

namespace {

constexpr std::uint64_t kBytesPerToken = 4;

// What the thread that computes and the route share.
struct EmbeddingWork {
  EmbeddingCall call;
  ModelInstance* instance = nullptr;
  std::atomic<bool> stop = false;
};

using EmbeddingOutcome = std::optional<Result<EmbeddingVectors>>;

EmbeddingOutcome compute(EmbeddingWork& work) {
  EmbeddingVectors out{.base64 = work.call.base64};
  for (const std::string& text : work.call.texts) {
    if (work.stop) return Result<EmbeddingVectors>(fail(ErrorCode::kCancelled, "cancelled"));
    auto vectors = work.instance->embed({text});
    if (!vectors) return Result<EmbeddingVectors>(std::unexpected(vectors.error()));
    out.vectors.push_back(std::move(vectors->front()));
    auto tokens = work.instance->count_tokens(text);
    out.tokens += tokens ? *tokens : text.size() / kBytesPerToken;
  }
  return out;
}

// In a thread that ends with it. OpenMP keeps a team for every thread that ever computed, and with
// two teams its barriers sleep in place of spinning: the decode thread took twenty times longer.
EmbeddingOutcome compute_apart(EmbeddingWork& work) {
  EmbeddingOutcome outcome;
  std::thread([&] { outcome = compute(work); }).join();
  return outcome;
}

std::uint64_t bytes_of(const EmbeddingCall& call) {
  std::uint64_t bytes = 0;
  for (const std::string& text : call.texts) bytes += text.size();
  return bytes;
}

asio::awaitable<void> answer(RouteCall& route, std::shared_ptr<EmbeddingWork> work,
                             const AdmissionRequest& admitted) {
  ApiContext& context = route.context;
  bool gone = false;
  std::function<void()> cancel = [work] { work->stop = true; };
  context.open_calls.push_back(&cancel);
  route.exchange.watch_client([work, &gone] {
    work->stop = true;
    gone = true;
  });
  auto job = [work]() -> asio::awaitable<EmbeddingOutcome> { co_return compute_apart(*work); };
  EmbeddingOutcome outcome = co_await asio::co_spawn(context.embedders, job, asio::use_awaitable);
  route.exchange.watch_client({});
  std::erase(context.open_calls, &cancel);
  const SteadyNs now = context.clock.steady_ns();
  const std::uint64_t used = *outcome ? (*outcome)->tokens : 0;
  context.admission.choice_ended(admitted, now);
  context.admission.call_ended(admitted, used, now);
  if (gone) {
    route.line.status = 499;
    ++context.metrics.clients_gone["waiting"];
    co_return;
  }
  if (!*outcome) co_return co_await reply_error(route, api_error(outcome->error(), "input"));
  context.metrics.tokens[admitted.model].prompt += used;
  route.line.prompt_tokens = used;
  co_await reply_json(route, 200, embedding_reply(**outcome, admitted.model));
}

}  // namespace

asio::awaitable<void> serve_embeddings(RouteCall& route) {
  ApiContext& context = route.context;
  auto call = co_await read_body<EmbeddingCall>(route, &read_embedding_call);
  if (!call) co_return co_await reply_error(route, call.error());
  auto model = context.models.find(call->model);
  if (!model) co_return co_await reply_error(route, model.error());
  const AdmissionRequest wanted{
      .key = route.key, .model = (*model)->id, .tokens_expected = bytes_of(*call) / kBytesPerToken};
  auto admitted = context.admission.admit(wanted, context.clock.steady_ns());
  if (!admitted) {
    ++context.metrics.turned_away[admitted.error().code];
    co_return co_await reply_error(route, admitted.error());
  }
  route.line.model = (*model)->id;
  auto work = std::make_shared<EmbeddingWork>();
  work->call = std::move(*call);
  work->instance = (*model)->instance.get();
  co_await answer(route, std::move(work), wanted);
}

}  // namespace sluice
