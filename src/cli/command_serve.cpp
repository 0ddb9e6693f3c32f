// sluice serve: models behind the OpenAI routes, until a signal ends it.
#include <fmt/format.h>

#include <array>
#include <map>
#include <memory>

#include "base/log.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/terminal.h"
#include "data/json.h"
#include "host/resources/model_choice.h"
#include "host/resources/weights.h"
#include "schedule/policies.h"
#include "serve/server.h"

namespace sluice::cli {
namespace {

struct ServeArguments {
  std::vector<std::string> models;
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  std::string keys;
  bool no_auth = false;
  std::uint32_t pool_tokens = 0;
  std::uint64_t host_cache_mb = 1024;
  std::uint32_t max_running = 16;
  std::size_t queue = 1000;
  std::uint32_t context = 0;
  std::uint32_t workers = 0;
  std::string policy;
  std::int64_t between_tokens_ms = 250;
  std::uint32_t drain_s = 30;
  double body_mb = 8;
  std::uint32_t idle_s = 600;
  std::string log;
  bool json = false;
};

constexpr std::string_view kFooter =
    "Routes: /v1/chat/completions and /v1/completions (streaming too), /v1/embeddings, "
    "/v1/models,\n"
    "/health, /metrics. Official OpenAI clients work as they are, with base_url\n"
    "http://127.0.0.1:8080/v1 and any key (unless --keys is given).\n"
    "\n"
    "Examples:\n"
    "  sluice serve\n"
    "  sluice serve --model small=~/models/small.gguf --model big=~/models/big.gguf --port 0\n"
    "  sluice serve --host 0.0.0.0 --keys keys.json --queue 200\n"
    "  sluice serve --policy order=arrival,lifetime=drop\n"
    "\n"
    "SIGTERM or Ctrl-C: accepts nothing more, finishes what it has, then ends with 0; a second "
    "one\n"
    "cuts that off.\n";

// "order=program,lifetime=cost" into the names of policies.
Result<PolicyNames> parse_policies(std::string_view text) {
  PolicyNames names = PolicySettings{}.names;
  const std::map<std::string_view, std::string*> kinds{{"order", &names.order},
                                                       {"batch", &names.batch},
                                                       {"admission", &names.admission},
                                                       {"lifetime", &names.lifetime},
                                                       {"fairness", &names.fairness}};
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    const std::size_t at = one.find('=');
    const auto kind = kinds.find(one.substr(0, at));
    if (at == std::string_view::npos || kind == kinds.end()) {
      return fail(ErrorCode::kUsage,
                  fmt::format("--policy takes order=, batch=, admission=, lifetime= and fairness=, "
                              "with commas between them, and not '{}'",
                              one));
    }
    *kind->second = one.substr(at + 1);
  }
  if (auto known = check_policy_names(names); !known) {
    return std::unexpected(Error(ErrorCode::kUsage, "--policy: " + known.error().message()));
  }
  return names;
}

Result<ServeOptions> options_of(const ServeArguments& arguments) {
  auto policies = parse_policies(arguments.policy);
  if (!policies) return std::unexpected(policies.error());
  auto attention = own_attention();
  if (!attention) return std::unexpected(attention.error());
  ServeOptions options;
  if (!arguments.models.empty()) options.models = arguments.models;
  options.host = arguments.host;
  options.port = arguments.port;
  options.keys_file = arguments.keys;
  options.no_auth = arguments.no_auth;
  options.queue = arguments.queue;
  options.drain_ms = std::int64_t{arguments.drain_s} * 1000;
  options.http.body_bytes = static_cast<std::uint64_t>(arguments.body_mb * (1 << 20));
  options.http.idle_ms = std::int64_t{arguments.idle_s} * 1000;
  options.engine.context_tokens = arguments.context;
  options.engine.pool_tokens = arguments.pool_tokens;
  options.engine.max_running = arguments.max_running;
  options.engine.threads = arguments.workers;
  options.engine.host_bytes = arguments.host_cache_mb << 20;
  options.engine.policies.names = std::move(*policies);
  options.engine.policies.between_tokens_ms = arguments.between_tokens_ms;
  options.engine.own_attention = *attention;
  return options;
}

std::string request_text(const RequestLine& line) {
  std::string text =
      fmt::format("{} {} {} {}", line.id, line.method, harmless(line.path), line.status);
  if (!line.key.empty()) text += fmt::format(" key={}", line.key);
  if (!line.model.empty()) text += fmt::format(" model={}", line.model);
  if (!line.program.empty()) text += fmt::format(" program={}", harmless(line.program));
  if (line.prompt_tokens + line.completion_tokens > 0) {
    text += fmt::format(" prompt={} cached={} completion={}", line.prompt_tokens,
                        line.cached_tokens, line.completion_tokens);
  }
  if (line.first_text_s > 0) text += fmt::format(" first_text={:.3f}s", line.first_text_s);
  return text + fmt::format(" total={:.3f}s\n", line.seconds);
}

// One line that is drawn over each second where a person looks.
class StatusLine {
 public:
  explicit StatusLine(Terminal terminal) : terminal_(terminal) {}

  void show(const ServeNumbers& now) {
    const std::uint64_t decoded = now.decode_tokens - last_.decode_tokens;
    const std::uint64_t prefilled = now.prefill_tokens - last_.prefill_tokens;
    last_ = now;
    const std::string text = fmt::format(
        "{} running, {} waiting, {} connections, {} tokens/s written, {} read{}", now.running,
        now.waiting, now.connections, decoded, prefilled, now.draining ? ", going down" : "");
    write_err("\r\x1b[K" + painted(terminal_, Ink::kDim, text));
    drawn_ = true;
  }
  void clear() {
    if (std::exchange(drawn_, false)) write_err("\r\x1b[K");
  }

 private:
  Terminal terminal_;
  ServeNumbers last_;
  bool drawn_ = false;
};

// What to try first, for people; one JSON object for programs.
ExitCode say_ready(const ApiServer& server, bool json) {
  const std::string url = fmt::format("http://{}", server.address());
  if (json) {
    std::vector<Value> ids;
    for (const ServedModel& model : server.models().all()) ids.push_back(Value::string(model.id));
    return print_text(to_json(Value::object({{"event", Value::string("listening")},
                                             {"address", Value::string(server.address())},
                                             {"url", Value::string(url + "/v1")},
                                             {"models", Value::array(std::move(ids))}})) +
                      "\n");
  }
  std::string text;
  for (const ServedModel& model : server.models().all()) {
    text += fmt::format("{}: {}\n", model.id, model.instance->info().description);
  }
  text += fmt::format(
      "listening on {0}/v1; try: curl {0}/v1/chat/completions -H 'Content-Type: application/json' "
      "-d '{{\"model\":\"default\",\"max_tokens\":32,\"messages\":[{{\"role\":\"user\",\"content\":"
      "\"Say hello\"}}]}}'\n",
      url);
  return print_text(text);
}

int serve_command(const ServeArguments& arguments) {
  bool log_requests = false;
  if (arguments.log == "requests") {
    log_requests = true;
  } else if (!arguments.log.empty()) {
    auto level = log_level_from_name(arguments.log);
    if (!level) {
      return end_with(Error(ErrorCode::kUsage,
                            "--log takes requests, trace, debug, info, warning, error or off"));
    }
    set_log_level(*level);
  }
  auto options = options_of(arguments);
  if (!options) return end_with(options.error());
  auto server = ApiServer::open(*options, system_clock());
  if (!server) return end_with(server.error());
  if (const ExitCode printed = say_ready(**server, arguments.json); printed != kGood)
    return printed;
  const Terminal terminal = terminal_of(2);
  StatusLine status(terminal);
  ServeObserver observer;
  if (log_requests) {
    observer.on_request = [&status](const RequestLine& line) {
      status.clear();
      write_err(request_text(line));
    };
  }
  if (terminal.interactive && !arguments.json) {
    observer.on_second = [&status](const ServeNumbers& numbers) { status.show(numbers); };
  }
  observer.on_notice = [&status](std::string_view line) {
    status.clear();
    write_err(std::string(line) + "\n");
  };
  std::vector<std::filesystem::path> files;
  for (const ServedModel& model : (*server)->models().all()) {
    if (!model.file.empty()) files.push_back(model.file);
  }
  (*server)->run(std::move(observer));
  status.clear();
  server->reset();
  for (const std::filesystem::path& file : files) {
    auto told = prepare_in_background(file, default_cache_dir(), terminal.interactive);
    if (told) write_err(*told + "\n");
  }
  return kGood;
}

void add_engine_options(CLI::App& app, ServeArguments& arguments) {
  app.add_option("--pool-tokens", arguments.pool_tokens,
                 "Tokens that the KV pool holds for all requests (default: chosen from the model)")
      ->type_name("N");
  app.add_option("--host-cache", arguments.host_cache_mb,
                 "Host memory for prefixes that left the pool, in MB (default: 1024)")
      ->type_name("MB");
  app.add_option("--max-running", arguments.max_running,
                 "Requests computed at a time (default: 16)")
      ->check(CLI::Range(1U, 200U))
      ->type_name("N");
  app.add_option("--context", arguments.context,
                 "Longest prompt and answer together, in tokens (default: the model's)")
      ->type_name("N");
  app.add_option("--policy", arguments.policy,
                 "How requests are scheduled, as order=program,lifetime=cost")
      ->type_name("NAMES");
  app.add_option("--between-tokens-ms", arguments.between_tokens_ms,
                 "Aim for the time between two tokens of an answer (default: 250)")
      ->check(CLI::Range(1, 60'000))
      ->type_name("MS");
  app.add_option("--workers", arguments.workers, "Threads of an engine (default: the cores)")
      ->check(CLI::Range(1U, 1024U))
      ->type_name("N");
}

}  // namespace

void add_serve(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ServeArguments>();
  app.add_option("--model", arguments->models,
                 "FILE.gguf or id=FILE.gguf, or the URL of a server that speaks the OpenAI routes; "
                 "may be repeated (default: what `sluice models` shows)")
      ->type_name("MODEL");
  app.add_option("--host", arguments->host, "Address to listen on (default: 127.0.0.1)")
      ->type_name("HOST");
  app.add_option("--port", arguments->port, "Port; 0 finds a free one (default: 8080)")
      ->check(CLI::Range(0, 65535))
      ->type_name("PORT");
  app.add_option("--keys", arguments->keys, "JSON file with the keys that may be used")
      ->type_name("FILE");
  app.add_flag("--no-auth", arguments->no_auth, "Serve other machines without keys");
  app.add_option("--queue", arguments->queue,
                 "Requests that may wait for each model; more are answered 429 (default: 1000)")
      ->type_name("N");
  add_engine_options(app, *arguments);
  app.add_option("--body-limit", arguments->body_mb, "Largest request in MB (default: 8)")
      ->check(CLI::Range(0.001, 1024.0))
      ->type_name("MB");
  app.add_option("--idle-s", arguments->idle_s,
                 "Seconds that a connection may be idle (default: 600)")
      ->type_name("S");
  app.add_option("--drain-s", arguments->drain_s,
                 "Seconds to finish what was accepted when told to end (default: 30)")
      ->type_name("S");
  app.add_option("--log", arguments->log, "`requests` for a line for each, or a log level")
      ->type_name("WHAT");
  app.add_flag("--json", arguments->json, "Say where it listens as one JSON object");
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = serve_command(*arguments); });
}

}  // namespace sluice::cli
