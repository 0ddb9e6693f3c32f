#include "serve/open_generation.h"

#include <utility>

#include "engine/tool_protocol.h"

namespace sluice {

OpenGeneration::OpenGeneration(ApiContext& context, GenerationCall call, const ServedModel& model,
                               AdmissionRequest admitted, std::string tenant)
    : context_(context),
      call_(std::move(call)),
      model_(model),
      admitted_(std::move(admitted)),
      tenant_(std::move(tenant)),
      texts_(call_.requests.size()),
      replies_(call_.requests.size()),
      open_(call_.requests.size()) {
  cancel_all_ = [this] { cancel(); };
  context_.open_calls.push_back(&cancel_all_);
}

OpenGeneration::~OpenGeneration() { std::erase(context_.open_calls, &cancel_all_); }

void OpenGeneration::submit() {
  auto self = shared_from_this();
  feed_ = std::make_shared<GenerationFeed>(
      context_.io, GenerationFeed::Options{.choices = call_.requests.size(),
                                           .most_waiting_bytes = context_.most_waiting_bytes,
                                           .clock = &context_.clock,
                                           .ended =
                                               [self](std::size_t) {
                                                 self->context_.admission.choice_ended(
                                                     self->admitted_,
                                                     self->context_.clock.steady_ns());
                                               },
                                           .overflowed = [self] { self->client_gone(); }});
  ProgramGuess guess;
  for (std::size_t i = 0; i < call_.requests.size(); ++i) {
    if (i % call_.choices_per_prompt == 0) {
      guess = context_.programs.program_of(call_, i, tenant_);
    }
    programs_.push_back(guess.program);
    ModelRequest request = call_.requests[i];
    ProgramHints& hints = request.hints;
    hints.program = guess.program;
    hints.tenant = tenant_;
    // A conversation that went on before will most likely go on, and so will one with tools.
    if (!call_.says_return) hints.returns = guess.seen_before || !request.tools.empty();
    if (hints.next_tool.empty() && request.tools.size() == 1) {
      hints.next_tool = request.tools.front().name;
    }
    ids_.push_back(model_.instance->submit(std::move(request), feed_->callbacks(i)));
  }
  first_program_ = programs_.front();
}

void OpenGeneration::cancel() {
  if (std::exchange(cancelled_, true)) return;
  for (RequestId id : ids_) model_.instance->cancel(id);
  if (feed_) feed_->stop();
}

void OpenGeneration::client_gone() {
  client_gone_ = true;
  cancel();
}

void OpenGeneration::settle() {
  if (std::exchange(settled_, true)) return;
  context_.admission.call_ended(admitted_, tokens_.prompt + tokens_.completion,
                                context_.clock.steady_ns());
}

std::vector<OpenGeneration::Step> OpenGeneration::take() {
  std::vector<GenerationFeed::News> news = feed_->take();
  std::vector<Step> steps;
  for (std::size_t i = 0; i < news.size(); ++i) {
    if (news[i].text.empty() && !news[i].end) continue;
    texts_[i] += news[i].text;
    Step step{.choice = i, .text = std::move(news[i].text)};
    if (news[i].end) {
      step.reply = finished(i, std::move(*news[i].end));
      --open_;
    }
    steps.push_back(std::move(step));
  }
  if (open_ == 0 && !settled_) {
    settle();
    if (call_.last) {
      for (const std::string& program : programs_) model_.instance->release(program);
    }
  }
  return steps;
}

Result<ModelReply> OpenGeneration::finished(std::size_t choice, Result<ModelReply> result) {
  // For OpenAI's clients an answer that max_tokens cut is an answer, also in the middle of JSON.
  if (!result && result.error().code() == ErrorCode::kOutputTruncated) result = cut_reply(choice);
  if (!result) return result;
  if (call_.forced_call && result->finish != FinishReason::kLength) {
    result = read_forced_call(std::move(*result));
    if (!result) return result;
  }
  count(choice, *result);
  context_.programs.replied(call_, choice, tenant_, programs_[choice], *result);
  replies_[choice] = *result;
  return result;
}

ModelReply OpenGeneration::cut_reply(std::size_t choice) {
  const ModelRequest& request = call_.requests[choice];
  ModelReply reply{.finish = FinishReason::kLength};
  if (!call_.forced_call) reply.text = texts_[choice];
  auto tokens_of = [&](std::string_view text) -> std::uint64_t {
    auto counted = model_.instance->count_tokens(text);
    return counted ? *counted : 0;
  };
  for (const ModelMessage& message : request.messages) {
    reply.usage.prompt_tokens += tokens_of(message.content);
  }
  for (const PromptSegment& segment : request.prompt) {
    reply.usage.prompt_tokens += tokens_of(segment.text.text);
  }
  reply.usage.completion_tokens =
      texts_[choice].empty() ? request.sampling.max_tokens : tokens_of(texts_[choice]);
  return reply;
}

Result<ModelReply> OpenGeneration::read_forced_call(ModelReply reply) const {
  auto chosen = read_tool_choice(reply.json, call_.earlier_calls + 1);
  if (!chosen) return std::unexpected(chosen.error());
  reply.tool_calls = chosen->tool_calls;
  reply.finish = FinishReason::kToolCalls;
  reply.text.clear();
  return reply;
}

void OpenGeneration::count(std::size_t choice, const ModelReply& reply) {
  TokenCounts& all = context_.metrics.tokens[model_.id];
  const bool first = choice % call_.choices_per_prompt == 0;  // a prompt counts once
  const TokenCounts more{.prompt = first ? reply.usage.prompt_tokens : 0,
                         .cached = first ? reply.usage.cached_tokens : 0,
                         .completion = reply.usage.completion_tokens};
  for (TokenCounts* counts : {&all, &tokens_}) {
    counts->prompt += more.prompt;
    counts->cached += more.cached;
    counts->completion += more.completion;
  }
}

}  // namespace sluice
