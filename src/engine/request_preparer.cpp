#include "engine/request_preparer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/random.h"
#include "engine/tool_protocol.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 5> kRoles{"system", "user", "assistant", "tool",
                                                 "developer"};
constexpr std::uint32_t kMaxTopLogprobs = 20;

Result<void> check(const ModelRequest& request) {
  auto refuse = [](std::string message) {
    return fail(ErrorCode::kModelRefused, std::move(message));
  };
  if (request.messages.empty() == request.prompt.empty()) {
    return refuse("a request has either messages or a prompt, and this one has both or none");
  }
  for (const ModelMessage& message : request.messages) {
    if (std::ranges::find(kRoles, message.role) != kRoles.end()) continue;
    return refuse(fmt::format("no role \"{}\"; a message is from system, user, assistant or tool",
                              message.role));
  }
  for (const PromptSegment& segment : request.prompt) {
    if (segment.pending) return refuse("a part of the prompt is not there yet");
  }
  if (!request.tools.empty() && request.messages.empty()) {
    return refuse("tools need messages in place of a prompt");
  }
  if (!request.regex.empty() && (request.output || !request.tools.empty())) {
    return refuse("a regular expression cannot stand beside an output schema or tools");
  }
  if (request.sampling.max_tokens == 0) return refuse("max_tokens is 0: nothing can be generated");
  const Sampling& sampling = request.sampling;
  if (!(sampling.temperature >= 0 && sampling.temperature <= 100) ||
      !(sampling.top_p > 0 && sampling.top_p <= 1)) {
    return refuse("temperature must be between 0 and 100, and top_p above 0 and at most 1");
  }
  if (sampling.top_logprobs > kMaxTopLogprobs) {
    return refuse(fmt::format("top_logprobs is at most {}", kMaxTopLogprobs));
  }
  return {};
}

std::size_t longest_token(const Vocabulary& vocabulary) {
  std::size_t longest = 32;  // names of special tokens
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    longest = std::max(longest, vocabulary.bytes(static_cast<Token>(i)).size());
  }
  return longest;
}

}  // namespace

RequestPreparer::RequestPreparer(const Vocabulary& vocabulary, const ChatTemplate* templ,
                                 std::uint32_t context_tokens, bool deterministic,
                                 bool jump_forward)
    : vocabulary_(vocabulary),
      template_(templ),
      context_tokens_(context_tokens),
      deterministic_(deterministic),
      jump_forward_(jump_forward),
      longest_token_(longest_token(vocabulary)),
      grammars_(vocabulary) {}

// Tokens that a text has at least: if all were as long as the longest.
std::size_t RequestPreparer::least_tokens(std::span<const TextSegment> text) const {
  std::size_t bytes = 0;
  for (const TextSegment& segment : text) bytes += segment.text.size();
  return bytes / longest_token_;
}

Result<std::vector<TextSegment>> RequestPreparer::prompt_text(const ModelRequest& request) const {
  if (request.messages.empty()) {
    std::vector<TextSegment> out;
    out.reserve(request.prompt.size());
    for (const PromptSegment& segment : request.prompt) out.push_back(segment.text);
    return out;
  }
  if (!template_) {
    return fail(ErrorCode::kModelRefused,
                "the model file carries no chat template; give the step a `prompt` in place of "
                "messages, or use an instruct model");
  }
  std::vector<ModelMessage> messages = with_tools(request.messages, request.tools);
  for (ModelMessage& message : messages) {
    if (message.role == "developer") message.role = "system";
  }
  return template_->render(messages);
}

Result<std::optional<Grammar>> RequestPreparer::grammar(const ModelRequest& request) {
  Result<Grammar> made = fail(ErrorCode::kInternal, "no grammar");
  if (!request.tools.empty()) {
    made = grammars_.json(
        tool_choice_schema(request.tools, request.output ? request.output->source() : Value()));
  } else if (request.output) {
    made = grammars_.json(request.output->source());
  } else if (!request.regex.empty()) {
    made = grammars_.regex(request.regex);
  } else {
    return std::optional<Grammar>();
  }
  if (!made) return std::unexpected(made.error());
  return std::optional<Grammar>(std::move(*made));
}

Result<PreparedRequest> RequestPreparer::prepare(const ModelRequest& request, RequestId id,
                                                 ModelCallbacks callbacks, SteadyNs arrived_ns) {
  if (auto checked = check(request); !checked) return std::unexpected(checked.error());
  auto text = prompt_text(request);
  if (!text) return std::unexpected(text.error());
  PreparedRequest out;
  std::size_t least = least_tokens(*text);  // so that nobody waits until a book is in tokens
  if (least < context_tokens_) out.tokens = vocabulary_.tokenize(*text);
  auto prompt = static_cast<std::uint32_t>(std::max(least, out.tokens.size()));
  if (prompt == 0) return fail(ErrorCode::kModelRefused, "the prompt is empty");
  if (prompt >= context_tokens_) {
    return fail(
        ErrorCode::kPromptTooLong,
        fmt::format("the prompt has {}{} tokens and the context holds {}, with at least one "
                    "for the answer; shorten it or set a larger `context`",
                    out.tokens.empty() ? "more than " : "", prompt, context_tokens_));
  }
  auto made = grammar(request);
  if (!made) return std::unexpected(made.error());
  out.grammar = std::move(*made);
  out.sampling = request.sampling;
  out.sampling.max_tokens = std::min(request.sampling.max_tokens, context_tokens_ - prompt);
  out.seed = request.sampling.seed.value_or(0);
  if (!request.sampling.seed && request.sampling.temperature > 0) out.seed = system_seed();
  out.output = request.output;
  out.tools = !request.tools.empty();
  out.call_number = count_tool_calls(request.messages) + 1;
  out.timeout_ms = request.timeout_ms;
  if (request.timeout_ms > 0) out.ends_at_ns = arrived_ns + request.timeout_ms * kNsPerMs;
  const ProgramHints& hints = request.hints;
  out.comes_back = hints.returns || hints.returns_at_ns.has_value();
  out.next_tool = hints.next_tool;
  out.jump_forward = jump_forward_;
  out.view = {.id = id,
              .prompt_tokens = prompt,
              .max_tokens = out.sampling.max_tokens,
              .expected_tokens = hints.expected_tokens,
              .program = hints.program,
              .tenant = hints.tenant,
              .priority = hints.priority,
              .rank = hints.rank,
              .remaining_path_s = hints.remaining_path_s,
              .arrived_ns = arrived_ns,
              .deadline_ns = hints.deadline_ns,
              .returns_at_ns = hints.returns_at_ns,
              .returns = out.comes_back,
              .deterministic = request.deterministic || deterministic_,
              .policies = hints.policies};
  out.callbacks = std::move(callbacks);
  return out;
}

Result<PreparedRequest> RequestPreparer::prepare_prefetch(ModelRequest request, RequestId id,
                                                          SteadyNs arrived_ns) {
  auto pending = std::ranges::find_if(request.prompt, &PromptSegment::pending);
  request.prompt.erase(pending, request.prompt.end());
  request.sampling = {.max_tokens = 1};
  request.output = nullptr;
  request.regex.clear();
  request.timeout_ms = 0;
  std::vector<ModelTool> tools = std::exchange(request.tools, {});
  request.messages = with_tools(request.messages, tools);
  auto out = prepare(request, id, {}, arrived_ns);
  if (!out) return out;
  out->view.prefetch = true;
  out->view.max_tokens = 0;
  out->view.priority = kPrefetchPriority;
  return out;
}

}  // namespace sluice
