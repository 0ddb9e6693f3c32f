#include "engine/generation.h"

#include <fmt/format.h>

#include "data/json.h"
#include "engine/tool_protocol.h"
#include "schedule/model_output.h"

namespace sluice {
namespace {

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
      text_(stop_strings(request_)) {}

void Generation::show(const std::string& text) {
  if (!text.empty() && request_.callbacks.on_text && !request_.tools) {
    request_.callbacks.on_text(text);
  }
}

bool Generation::advance(std::span<const float> logits, const Vocabulary& vocabulary) {
  TokenMask mask = request_.grammar ? request_.grammar->mask() : TokenMask{};
  Token token = sampler_.pick(logits, mask);
  if (token < 0) {
    stuck_ = true;
    return true;
  }
  last_token_ = token;
  if (request_.grammar && !request_.grammar->accept(token)) {
    stuck_ = true;
    return true;
  }
  if (vocabulary.ends_generation(token)) return true;
  request_.view.generated_tokens += 1;
  if (request_.sampling.logprobs) {
    Logprobs found = logprobs(logits, token, request_.sampling.top_logprobs);
    TokenLogprob entry{.token = printable(vocabulary.shown(token)), .logprob = found.chosen};
    for (auto [other, logprob] : found.top) {
      entry.top.emplace_back(printable(vocabulary.shown(other)), logprob);
    }
    logprobs_.push_back(std::move(entry));
  }
  show(text_.push(vocabulary.bytes(token)));
  if (text_.stopped()) return true;
  if (request_.grammar && request_.grammar->finished()) return true;
  if (request_.view.generated_tokens >= request_.sampling.max_tokens) {
    finish_ = FinishReason::kLength;
    return true;
  }
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
  reply.usage = {.prompt_tokens = request_.tokens.size(),
                 .cached_tokens = cached_tokens_,
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
