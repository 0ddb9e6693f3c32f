#include "serve/generation_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "data/json.h"
#include "data/schema.h"
#include "engine/tool_protocol.h"
#include "serve/chat_messages.h"
#include "serve/program_fields.h"
#include "serve/program_of.h"

namespace sluice {
namespace {

constexpr std::size_t kMostStops = 16;
constexpr std::size_t kMostStopBytes = 1024;
constexpr std::size_t kMostNameBytes = 256;
constexpr std::int64_t kMostTokens = std::numeric_limits<std::int32_t>::max();
constexpr std::uint64_t kBytesPerToken = 4;      // of a prompt, for guesses
constexpr std::uint64_t kGuessedOutput = 256;    // where the client names no limit
constexpr std::int64_t kDefaultCompletion = 16;  // OpenAI's

std::vector<std::string> read_stop(RequestFields& body) {
  std::vector<std::string> stop;
  const Value* found = body.find("stop");
  if (found == nullptr) return stop;
  auto take = [&](const Value& item, const std::string& path) {
    if (!item.is_string() || item.as_string().empty() || item.size() > kMostStopBytes) {
      body.problem().say(
          path, fmt::format("`{}` must be a string of 1 to {} bytes", path, kMostStopBytes));
      return;
    }
    stop.emplace_back(item.as_string());
  };
  if (found->is_array()) {
    body.each("stop", kMostStops, take);
  } else {
    take(*found, "stop");
  }
  return stop;
}

// OpenAI's default temperature is 1; an engine's own is 0.
Sampling read_sampling(RequestFields& body, bool chat) {
  Sampling sampling;
  sampling.temperature = body.number("temperature", 0, 2).value_or(1);
  sampling.top_p = body.number("top_p", 0, 1).value_or(1);
  if (sampling.top_p <= 0) {  // nothing but the most likely token
    sampling.top_p = 1;
    sampling.temperature = 0;
  }
  if (auto seed = body.integer("seed", std::numeric_limits<std::int64_t>::min(),
                               std::numeric_limits<std::int64_t>::max())) {
    sampling.seed = static_cast<std::uint64_t>(*seed);
  }
  sampling.stop = read_stop(body);
  auto limit = body.integer("max_tokens", 1, kMostTokens);
  if (chat) {
    if (auto newer = body.integer("max_completion_tokens", 1, kMostTokens)) limit = newer;
  } else if (!limit) {
    limit = kDefaultCompletion;
  }
  // Without one the context's end is the limit.
  sampling.max_tokens =
      limit ? static_cast<std::uint32_t>(*limit) : std::numeric_limits<std::uint32_t>::max();
  return sampling;
}

void read_stream(RequestFields& body, GenerationCall& call) {
  call.stream = body.boolean("stream").value_or(false);
  auto options = body.object("stream_options");
  if (!options) return;
  if (!call.stream) {
    body.wrong("stream_options", "`stream_options` is for `stream: true` only");
  }
  call.include_usage = options->boolean("include_usage").value_or(false);
  options->ignore({"include_obfuscation"});
  options->finish();
}

// Parameters of OpenAI that have no effect here, and those that we do not have.
void read_rest(RequestFields& body) {
  body.ignore({"store", "metadata", "service_tier", "parallel_tool_calls", "safety_identifier",
               "prompt_cache_retention", "verbosity", "reasoning_effort", "prediction"});
  body.refuse("logit_bias", "tokens cannot be weighted", Value::object({}));
  const Value zero = Value::integer(0);
  body.refuse("presence_penalty", "there are no penalties", zero);
  body.refuse("frequency_penalty", "there are no penalties", zero);
  body.refuse("functions", "use `tools`");
  body.refuse("function_call", "use `tool_choice`");
  body.refuse("audio", "the models here write text only");
  body.refuse("modalities", "the models here write text only",
              Value::array({Value::string("text")}));
  body.refuse("web_search_options", "there is no web search; offer it as a tool");
}

SchemaPtr compile_schema(RequestFields& body, const Value& schema, const std::string& path,
                         bool strict) {
  SchemaCompilation made =
      Schema::compile(schema, {.mode = strict ? SchemaMode::kStrict : SchemaMode::kLenient});
  // Without `strict`, keywords outside the subset are not enforced; what is no schema is no schema.
  auto wrong =
      strict ? made.problems.begin()
             : std::ranges::find(made.problems, ErrorCode::kSchemaInvalid, &SchemaProblem::code);
  if (made.schema && wrong == made.problems.end()) return made.schema;
  std::string message = fmt::format("`{}` is no schema that can be enforced", path);
  if (wrong != made.problems.end()) {
    message +=
        fmt::format(": at {}: {}", wrong->pointer.empty() ? "/" : wrong->pointer, wrong->message);
  }
  body.problem().say(path, std::move(message), "invalid_schema");
  return nullptr;
}

SchemaPtr read_response_format(RequestFields& body) {
  auto format = body.object("response_format");
  if (!format) return nullptr;
  format->require("type");
  auto type = format->word("type", {"text", "json_object", "json_schema"});
  if (!type) return nullptr;
  if (*type != "json_schema") {
    format->finish();
    static const SchemaPtr any_object = Schema::literal(R"({"type": "object"})");
    return *type == "json_object" ? any_object : nullptr;
  }
  format->require("json_schema");
  auto reader = format->object("json_schema");
  format->finish();
  if (!reader) return nullptr;
  reader->ignore({"name", "description"});
  const bool strict = reader->boolean("strict").value_or(false);
  reader->require("schema");
  const Value* schema = reader->find("schema");
  reader->finish();
  if (schema == nullptr || body.problem().any()) return nullptr;
  return compile_schema(body, *schema, reader->path_of("schema"), strict);
}

// The schema that lets the model only call tools: that of the engine's protocol without the answer.
Value calls_only_schema(const std::vector<ModelTool>& tools) {
  const Value both = tool_choice_schema(tools, Value());
  std::vector<Value> choices(both.find("anyOf")->items().begin(),
                             both.find("anyOf")->items().end());
  choices.pop_back();
  return Value::object(
      {{"anyOf", Value::array(std::move(choices))}, {"$defs", *both.find("$defs")}});
}

void read_chat_tools(RequestFields& body, GenerationCall& call, ModelRequest& request) {
  std::vector<ModelTool> tools = read_tools(body);
  ToolWish wish = read_tool_choice_field(body, tools);
  if (body.problem().any() || wish.mode == ToolWish::Mode::kNone) return;
  if (wish.mode == ToolWish::Mode::kAuto) {
    request.tools = std::move(tools);
    return;
  }
  if (!wish.name.empty()) {
    std::erase_if(tools, [&](const ModelTool& tool) { return tool.name != wish.name; });
  }
  call.forced_call = true;
  request.messages = with_tools(request.messages, tools);
  request.output = compile_schema(body, calls_only_schema(tools), "tools", false);
}

void read_logprobs(RequestFields& body, GenerationCall& call, Sampling& sampling) {
  if (call.chat) {
    call.logprobs = body.boolean("logprobs").value_or(false);
    auto top = body.integer("top_logprobs", 0, 20);
    if (top && *top > 0 && !call.logprobs) {
      body.wrong("top_logprobs", "`top_logprobs` needs `logprobs: true`");
    }
    sampling.top_logprobs = static_cast<std::uint32_t>(top.value_or(0));
  } else if (auto top = body.integer("logprobs", 0, 20)) {
    call.logprobs = true;
    sampling.top_logprobs = static_cast<std::uint32_t>(*top);
  }
  sampling.logprobs = call.logprobs;
}

// What both routes have.
void read_shared(RequestFields& body, GenerationCall& call, ModelRequest& request,
                 SteadyNs now_ns) {
  body.require("model");
  call.model = body.text("model", kMostNameBytes).value_or("");
  request.sampling = read_sampling(body, call.chat);
  read_logprobs(body, call, request.sampling);
  read_stream(body, call);
  call.choices_per_prompt = static_cast<std::size_t>(
      body.integer("n", 1, static_cast<std::int64_t>(kMostChoices)).value_or(1));
  call.cache_key = body.text("prompt_cache_key", kMostNameBytes).value_or("");
  call.user = body.text("user", kMostNameBytes).value_or("");
  ProgramFields fields = read_program_fields(body, now_ns);
  request.hints = std::move(fields.hints);
  request.deterministic = fields.deterministic;
  call.last = fields.last;
  call.says_return = fields.says_return || fields.last;
  read_rest(body);
}

// The request `n` times; choices of one seed draw differently.
void add_choices(GenerationCall& call, const ModelRequest& request) {
  for (std::size_t i = 0; i < call.choices_per_prompt; ++i) {
    call.requests.push_back(request);
    if (request.sampling.seed) call.requests.back().sampling.seed = *request.sampling.seed + i;
  }
}

void guess_tokens(GenerationCall& call) {
  const std::uint64_t limit = call.requests.front().sampling.max_tokens;
  call.tokens_expected =
      call.prompt_bytes / kBytesPerToken + std::min(limit, kGuessedOutput) * call.requests.size();
}

std::vector<std::string> read_prompts(RequestFields& body) {
  std::vector<std::string> prompts;
  body.require("prompt");
  const Value* prompt = body.find("prompt");
  if (prompt == nullptr) return prompts;
  auto take = [&](const Value& item, const std::string& path) {
    if (item.is_string()) {
      prompts.emplace_back(item.as_string());
      return;
    }
    body.problem().say(
        path,
        item.is_number() || item.is_array()
            ? fmt::format("`{}` holds tokens, and prompts are taken as text", path)
            : fmt::format("`{}` must be a string, and is {}", path, kind_with_article(item.kind())),
        "invalid_type");
  };
  if (prompt->is_array()) {
    body.each("prompt", kMostChoices, take);
    if (prompts.empty()) body.wrong("prompt", "`prompt` holds no text");
  } else {
    take(*prompt, "prompt");
  }
  return prompts;
}

}  // namespace

ApiResult<GenerationCall> read_chat_call(const Value& body, SteadyNs now_ns) {
  RequestProblem problem;
  RequestFields reader(body, "", problem);
  GenerationCall call{.chat = true};
  ModelRequest request;
  read_shared(reader, call, request, now_ns);
  request.messages = read_messages(reader);
  for (const ModelMessage& message : request.messages) call.prompt_bytes += message.content.size();
  call.earlier_calls = count_tool_calls(request.messages);
  call.marks = message_marks(request.messages);
  request.output = read_response_format(reader);
  if (!problem.any()) read_chat_tools(reader, call, request);
  reader.ignore({"tools", "tool_choice"});
  reader.finish();
  if (problem.any()) return std::unexpected(problem.first());
  add_choices(call, request);
  guess_tokens(call);
  return call;
}

ApiResult<GenerationCall> read_completion_call(const Value& body, SteadyNs now_ns) {
  RequestProblem problem;
  RequestFields reader(body, "", problem);
  GenerationCall call{.chat = false};
  ModelRequest request;
  read_shared(reader, call, request, now_ns);
  const std::vector<std::string> prompts = read_prompts(reader);
  const bool echo = reader.boolean("echo").value_or(false);
  if (echo && call.logprobs) {
    reader.wrong("echo", "`echo` cannot stand beside `logprobs`", "unsupported_parameter");
  }
  reader.refuse("suffix", "text is only written at the end", Value::string(""));
  reader.refuse("best_of", "choices are not ranked; use `n`",
                Value::integer(static_cast<std::int64_t>(call.choices_per_prompt)));
  request.output = read_response_format(reader);
  if (prompts.size() * call.choices_per_prompt > kMostChoices) {
    reader.wrong("prompt", fmt::format("{} prompts with n {} are more than {} choices",
                                       prompts.size(), call.choices_per_prompt, kMostChoices));
  }
  reader.finish();
  if (problem.any()) return std::unexpected(problem.first());
  for (const std::string& prompt : prompts) {
    call.prompt_bytes += prompt.size();
    request.prompt = {PromptSegment{.text = {.text = prompt, .data = false}}};
    add_choices(call, request);
    if (echo) call.echoes.insert(call.echoes.end(), call.choices_per_prompt, prompt);
  }
  guess_tokens(call);
  return call;
}

}  // namespace sluice
