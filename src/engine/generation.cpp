#include "engine/generation.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/json.h"
#include "engine/tool_protocol.h"
#include "schedule/model_output.h"

namespace sluice {
namespace {

// Most tokens of one step of one request, so that it fits into the smallest batch.
constexpr std::size_t kMostAtOnce = 32;

// A stop string would cut structured output into something that is none.
std::vector<std::string> stop_strings(const PreparedRequest& request) {
  return request.grammar ? std::vector<std::string>{} : request.sampling.stop;
}

// A token may hold a part of a character; what is shown to people is valid UTF-8 in any case.
std::string printable(std::string_view bytes) {
  TokenText text({});
  text.push(bytes);
  text.finish();
  return text.text();
}

}  // namespace

Generation::Generation(PreparedRequest request)
    : request_(std::move(request)),
      sampler_(request_.sampling, request_.seed),
      text_(stop_strings(request_)),
      own_prompt_(request_.tokens.size()) {
  begin_with_forced();
}

void Generation::preempt() {
  request_.tokens.insert(request_.tokens.end(), generated_.begin(), generated_.end());
  generated_.clear();
  next_tokens_.clear();
  RequestView& view = request_.view;
  view.phase = RequestPhase::kWaiting;
  view.prompt_tokens = static_cast<std::uint32_t>(request_.tokens.size());
  view.computed_tokens = 0;
  view.next_tokens = 1;
  view.preempted += 1;
}

void Generation::show(const std::string& text) {
  if (!text.empty() && request_.callbacks.on_text && !request_.tools) {
    request_.callbacks.on_text(text);
  }
}

// What is forced before the first choice is computed together with the prompt. At least one token
// is left to choose, so that advance() ends the request.
void Generation::begin_with_forced() {
  RequestView& view = request_.view;
  if (!request_.grammar || !request_.jump_forward || view.prefetch) return;
  std::size_t most = std::min<std::size_t>(kMostAtOnce, request_.sampling.max_tokens - 1);
  begun_ = request_.grammar->take_forced(most, true);
  request_.tokens.insert(request_.tokens.end(), begun_.begin(), begun_.end());
  auto count = static_cast<std::uint32_t>(begun_.size());
  view.prompt_tokens += count;
  view.generated_tokens += count;
  forced_count_ += count;
}

void Generation::write_forced(Token token, const Vocabulary& vocabulary) {
  TokenLogprob certain;
  certain.forced = true;
  write(token, std::move(certain), vocabulary);
}

void Generation::write(Token token, TokenLogprob&& logprob, const Vocabulary& vocabulary) {
  if (request_.sampling.logprobs) {
    logprob.token = printable(vocabulary.shown(token));
    logprobs_.push_back(std::move(logprob));
  }
  show(text_.push(vocabulary.bytes(token)));
}

bool Generation::at_end() {
  if (text_.stopped()) return true;
  if (request_.grammar && request_.grammar->finished()) return true;
  if (request_.view.generated_tokens < request_.sampling.max_tokens) return false;
  finish_ = FinishReason::kLength;
  return true;
}

bool Generation::append_forced(const Vocabulary& vocabulary) {
  if (!request_.grammar || !request_.jump_forward) return false;
  RequestView& view = request_.view;
  std::size_t most = std::min<std::size_t>(kMostAtOnce - next_tokens_.size(),
                                           request_.sampling.max_tokens - view.generated_tokens);
  std::vector<Token> forced = request_.grammar->take_forced(most);
  for (Token token : forced) write_forced(token, vocabulary);
  next_tokens_.insert(next_tokens_.end(), forced.begin(), forced.end());
  generated_.insert(generated_.end(), forced.begin(), forced.end());
  auto count = static_cast<std::uint32_t>(forced.size());
  view.generated_tokens += count;
  forced_count_ += count;
  return !forced.empty() && at_end();
}

// A choice rarely needs a mask, which can cost milliseconds (near the end of a string with
// maxLength): the grammar is asked about the token that would be chosen without one.
Token Generation::choose(std::span<const float> logits, const Vocabulary& vocabulary) {
  if (!request_.grammar) return sampler_.pick(logits, {});
  Grammar& grammar = *request_.grammar;
  if (sampler_.mask_can_wait() && !grammar.mask_is_ready()) {
    Token best = sampler_.pick(logits, {});
    bool text = !vocabulary.bytes(best).empty() || vocabulary.ends_generation(best);
    if (text && grammar.accept(best)) return best;
  }
  Token token = sampler_.pick(logits, grammar.mask());
  return token >= 0 && grammar.accept(token) ? token : -1;
}

bool Generation::advance(std::span<const float> logits, const Vocabulary& vocabulary) {
  for (Token token : std::exchange(begun_, {})) write_forced(token, vocabulary);
  Token token = choose(logits, vocabulary);
  if (token < 0) {
    stuck_ = true;
    return true;
  }
  if (vocabulary.ends_generation(token)) return true;
  next_tokens_.assign(1, token);
  generated_.push_back(token);
  request_.view.generated_tokens += 1;
  TokenLogprob entry;
  if (request_.sampling.logprobs) {
    Logprobs found = logprobs(logits, token, request_.sampling.top_logprobs);
    entry.logprob = found.chosen;
    for (auto [other, logprob] : found.top) {
      entry.top.emplace_back(printable(vocabulary.shown(other)), logprob);
    }
  }
  write(token, std::move(entry), vocabulary);
  if (at_end() || append_forced(vocabulary)) return true;
  request_.view.next_tokens = static_cast<std::uint32_t>(next_tokens_.size());
  return false;
}

Result<void> Generation::read_json(ModelReply& reply) {
  auto parsed = parse_json(reply.text);
  if (!parsed) {
    return std::unexpected(Error(ErrorCode::kOutputInvalid, "the model's output is not JSON")
                               .with_cause(parsed.error()));
  }
  if (request_.tools) {
    auto choice = read_tool_choice(*parsed, request_.call_number);
    if (!choice) return std::unexpected(choice.error());
    if (!choice->tool_calls.is_null()) {
      reply.tool_calls = choice->tool_calls;
      reply.finish = FinishReason::kToolCalls;
      reply.text.clear();
      return {};
    }
    const Value& answer = choice->answer;
    reply.text = answer.is_string() && !request_.output
                     ? std::string(answer.as_string())
                     : to_json(answer, {.indent = 0, .redact_secrets = false});
    if (request_.callbacks.on_text) request_.callbacks.on_text(reply.text);
    if (!request_.output) return {};
    parsed = answer;
  }
  if (auto fits = check_model_output(*request_.output, *parsed); !fits) return fits;
  reply.json = *parsed;
  return {};
}

Result<ModelReply> Generation::reply() {
  show(text_.finish());
  ModelReply reply;
  reply.text = text_.text();
  reply.finish = finish_;
  reply.usage = {.prompt_tokens = own_prompt_,
                 .cached_tokens = std::min<std::size_t>(cached_tokens_, own_prompt_),
                 .completion_tokens = request_.view.generated_tokens};
  reply.logprobs = std::move(logprobs_);
  if (stuck_) {
    return fail(ErrorCode::kDecodeFailed,
                fmt::format("the output grammar left no token to choose after: {}",
                            preview(Value::string(reply.text))));
  }
  if (request_.grammar && !request_.grammar->complete()) {
    return fail(ErrorCode::kOutputTruncated,
                fmt::format("the limit of {} tokens cut the structured output; raise max_tokens "
                            "or bound the strings of the schema with maxLength: {}",
                            request_.sampling.max_tokens, preview(Value::string(reply.text))));
  }
  if (request_.output || request_.tools) {
    if (auto read = read_json(reply); !read) return std::unexpected(read.error());
  }
  return reply;
}

void Generation::end(Result<ModelReply> result) {
  if (!request_.callbacks.on_end) return;
  auto on_end = std::move(request_.callbacks.on_end);
  request_.callbacks = {};
  on_end(std::move(result));
}

}  // namespace sluice
