#include "serve/generation_route.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "serve/open_generation.h"
#include "serve/openai_reply.h"
#include "serve/request_body.h"

namespace sluice {

namespace asio = boost::asio;

namespace {

// A stream that waits longer gets its header and a comment, so that nothing between takes it for
// dead.
constexpr auto kSignOfLife = std::chrono::seconds(10);
constexpr std::string_view kDone = "data: [DONE]\n\n";

std::string event(std::string_view data) {
  return data.empty() ? std::string() : fmt::format("data: {}\n\n", data);
}

// Writes the answer of one call.
class GenerationReply {
 public:
  GenerationReply(RouteCall& route, OpenGeneration& open, ReplyWriter writer)
      : route_(route), open_(open), writer_(std::move(writer)) {}

  asio::awaitable<void> run() {
    if (open_.call().stream) {
      co_await stream();
    } else {
      co_await whole();
    }
    note();
  }

 private:
  asio::awaitable<void> whole() {
    while (open_.open_choices() > 0) {
      if (!co_await next()) co_return;
      for (auto& step : open_.take()) {
        if (step.reply && !*step.reply) co_return co_await fail(step.reply->error());
      }
    }
    co_await reply_json(route_, 200, writer_.whole(open_.replies()));
  }

  asio::awaitable<void> stream() {
    while (open_.open_choices() > 0) {
      const bool news = co_await open_.feed().wait(kSignOfLife);
      if (stopped()) co_return co_await stop();
      std::string bytes = news ? std::string() : std::string(": waiting\n\n");
      for (auto& step : open_.take()) {
        if (step.reply && !*step.reply) co_return co_await fail(step.reply->error());
        bytes += events_of(step);
      }
      if (!co_await send(std::move(bytes))) co_return;
    }
    const std::string usage = writer_.usage(open_.replies());
    if (!co_await send(event(usage) + std::string(kDone))) co_return;
    co_await route_.exchange.end_events();
    route_.line.status = 200;
  }

  // False: nothing more is to be answered.
  asio::awaitable<bool> next() {
    while (!co_await open_.feed().wait(kSignOfLife)) {
    }
    if (!stopped()) co_return true;
    co_await stop();
    co_return false;
  }

  asio::awaitable<void> stop() {
    if (open_.has_client()) co_await fail_now(going_down());
  }

  bool stopped() const { return open_.feed().stopped(); }

  std::string events_of(const OpenGeneration::Step& step) const {
    std::string bytes;
    if (!step.text.empty()) bytes += event(writer_.text(step.choice, step.text));
    if (!step.reply) return bytes;
    bytes += event(writer_.late(step.choice, **step.reply));
    return bytes + event(writer_.finish(step.choice, **step.reply));
  }

  asio::awaitable<bool> send(std::string bytes) {
    if (!std::exchange(begun_, true)) {
      const HttpReply head{.content_type = "text/event-stream; charset=utf-8",
                           .headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}};
      if (!co_await route_.exchange.begin_events(head)) co_return lost();
      std::string begin;
      for (std::size_t i = 0; i < open_.call().requests.size(); ++i) {
        begin += event(writer_.begin(i));
      }
      bytes = begin + bytes;
    }
    if (co_await route_.exchange.send(std::move(bytes))) co_return true;
    co_return lost();
  }

  bool lost() {
    open_.client_gone();
    return false;
  }

  asio::awaitable<void> fail(const Error& error) {
    open_.settle();
    open_.cancel();  // the other choices
    co_await fail_now(api_error(error, open_.call().chat ? "messages" : "prompt"));
  }

  // As a reply of its own where nothing has been sent, else as the last event.
  asio::awaitable<void> fail_now(ApiError error) {
    if (!begun_) co_return co_await reply_error(route_, error);
    route_.line.status = error.status;
    co_await route_.exchange.send(event(error_body(error)));
    co_await route_.exchange.end_events();
  }

  void note() {
    RequestLine& line = route_.line;
    line.prompt_tokens = open_.tokens().prompt;
    line.cached_tokens = open_.tokens().cached;
    line.completion_tokens = open_.tokens().completion;
    if (auto first = open_.feed().first_text_ns()) {
      line.first_text_s =
          static_cast<double>(*first - route_.exchange.call().begun_ns) / kNsPerSecond;
      route_.context.metrics.first_token.add(line.first_text_s);
    }
    if (open_.has_client()) return;
    line.status = 499;
    ++route_.context.metrics.clients_gone[begun_ ? "answering" : "waiting"];
  }

  RouteCall& route_;
  OpenGeneration& open_;
  ReplyWriter writer_;
  bool begun_ = false;
};

ApiResult<std::string> tenant_of(const RouteCall& route, const GenerationCall& call) {
  const std::string& wish = call.requests.front().hints.tenant;
  if (route.key == nullptr) return wish;
  if (wish.empty() || wish == route.key->tenant) return route.key->tenant;
  if (route.key->any_tenant) return wish;
  return std::unexpected(ApiError{
      .status = 403,
      .type = "permission_error",
      .message =
          fmt::format("this key's tenant is {}, and it may name no other", route.key->tenant),
      .param = "sluice.tenant",
      .code = "tenant_not_allowed"});
}

ReplyNames names_of(const RouteCall& route, const GenerationCall& call, const ServedModel& model) {
  const std::string& id = route.exchange.call().id;
  return {.id = (call.chat ? "chatcmpl-" : "cmpl-") + id.substr(id.find('_') + 1),
          .model = model.id,
          .fingerprint = model.fingerprint,
          .created_s = route.context.clock.wall_ns() / kNsPerSecond};
}

asio::awaitable<void> serve_generation(RouteCall& route, BodyReader<GenerationCall> read) {
  ApiContext& context = route.context;
  auto call = co_await read_body<GenerationCall>(route, read);
  if (!call) co_return co_await reply_error(route, call.error());
  auto model = context.models.find(call->model);
  if (!model) co_return co_await reply_error(route, model.error());
  auto tenant = tenant_of(route, *call);
  if (!tenant) co_return co_await reply_error(route, tenant.error());
  if (route.key != nullptr) {
    for (ModelRequest& request : call->requests) {
      request.hints.priority = std::min(request.hints.priority, route.key->max_priority);
    }
  }
  const AdmissionRequest wanted{.key = route.key,
                                .model = (*model)->id,
                                .choices = call->requests.size(),
                                .tokens_expected = call->tokens_expected};
  auto admitted = context.admission.admit(wanted, context.clock.steady_ns());
  if (!admitted) {
    if (admitted.error().status == 429) ++context.metrics.turned_away[admitted.error().code];
    co_return co_await reply_error(route, admitted.error());
  }
  ReplyWriter writer(*call, names_of(route, *call, **model));
  auto open = std::make_shared<OpenGeneration>(context, std::move(*call), **model, wanted,
                                               std::move(*tenant));
  open->submit();
  route.line.model = (*model)->id;
  route.line.program = open->first_program();
  GenerationReply reply(route, *open, std::move(writer));
  route.exchange.watch_client([open] { open->client_gone(); });
  co_await reply.run();
}

}  // namespace

asio::awaitable<void> serve_chat(RouteCall& call) {
  co_await serve_generation(call, &read_chat_call);
}

asio::awaitable<void> serve_completion(RouteCall& call) {
  co_await serve_generation(call, &read_completion_call);
}

}  // namespace sluice
