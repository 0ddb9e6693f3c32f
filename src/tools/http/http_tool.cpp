#include "tools/http/http_tool.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/json.h"
#include "tools/basic_tool.h"
#include "tools/http/http_client.h"
#include "tools/http/url.h"
#include "tools/text.h"

namespace sluice {
namespace {

constexpr int kMaxRedirects = 5;
constexpr std::int64_t kMaxRetryAfterMs = 3'600'000;

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

// "application/json; charset=utf-8" -> "application/json"
std::string media_type_of(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  return lower(type);
}

bool is_text_type(std::string_view type) {
  return type.empty() || type.starts_with("text/") || type.ends_with("+xml") ||
         type == "application/xml" || type == "application/javascript" ||
         type == "application/yaml" || type == "application/x-ndjson" ||
         type == "application/x-www-form-urlencoded";
}

Result<Value> value_of(const HttpResponse& response, const std::string& where) {
  if (response.body.empty()) return Value();
  std::string type = media_type_of(response.content_type);
  if (type == "application/json" || type.ends_with("+json")) {
    auto json = parse_json(response.body);
    if (json) return json;
    return std::unexpected(
        Error(ErrorCode::kToolOutput, fmt::format("{} answered with JSON that is broken", where))
            .with_cause(json.error()));
  }
  if (is_text_type(type)) {
    if (auto text = Value::from_utf8(response.body)) return text;
  }
  return Value::blob(response.body, type.empty() ? "application/octet-stream" : type);
}

// Seconds, or a date. nullopt: not given or not understood.
std::optional<std::int64_t> retry_after_ms(const std::string& text, const Clock& clock) {
  if (text.empty()) return std::nullopt;
  std::int64_t seconds = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (failed != std::errc() || end != text.data() + text.size()) {
    time_t date = curl_getdate(text.c_str(), nullptr);
    if (date < 0) return std::nullopt;
    seconds = static_cast<std::int64_t>(date) - clock.wall_ns() / kNsPerSecond;
  }
  return std::clamp<std::int64_t>(seconds, 0, kMaxRetryAfterMs / 1000) * 1000;
}

class HttpTool final : public ClosedTool {
 public:
  HttpTool(const ToolSettings& settings, std::string url, std::string method,
           std::vector<std::pair<std::string, std::string>> headers)
      : ClosedTool("http", settings),
        client_(settings.environment.io),
        url_(std::move(url)),
        method_(std::move(method)),
        headers_(std::move(headers)) {}

  ~HttpTool() override { calls().drop_all(); }

 private:
  bool has_header(std::string_view name) const {
    return std::ranges::any_of(headers_,
                               [&](const auto& pair) { return lower(pair.first) == name; });
  }

  bool once() const { return functions().empty() || functions()[0].effect == Effect::kOnce; }

  Result<HttpRequest> request_of(const ToolCall& call) const {
    HttpRequest request{.method = method_, .headers = headers_, .max_bytes = call.max_bytes};
    const Value none{};
    const Value* path = call.args.find("path");
    const Value* query = call.args.find("query");
    const Value* body = call.args.find("body");
    auto url = join_url(url_, path != nullptr && !path->is_null() ? argument_text(*path) : "",
                        query != nullptr ? *query : none);
    if (!url) return std::unexpected(url.error());
    request.url = std::move(*url);
    if (body != nullptr && !body->is_null()) {
      auto bytes = body_bytes(*body);
      if (!bytes) return std::unexpected(bytes.error());
      request.body = std::move(*bytes);
      if (!has_header("content-type")) {
        std::string type = body->is_string() ? "text/plain; charset=utf-8"
                           : body->kind() == Value::Kind::kBlob
                               ? std::string(body->blob_media_type())
                               : "application/json";
        request.headers.emplace_back("Content-Type", std::move(type));
      }
    }
    if (!call.idempotency_key.empty() && method_ != "GET" && method_ != "HEAD") {
      request.headers.emplace_back("Idempotency-Key", call.idempotency_key);
    }
    request.fresh_connection = once() && method_ != "GET" && method_ != "HEAD";
    return request;
  }

  void start(const OpenCallPtr& open) override {
    if (functions().empty() || open->request().function != functions()[0].name) {
      return open->fail(Error(ErrorCode::kToolUnknown,
                              "an http tool has no function " + open->request().function));
    }
    auto request = request_of(open->request());
    if (!request) return open->fail(request.error());
    send(open, std::move(*request), 0);
  }

  // The call counts as left as soon as bytes went out; until the end nobody asks.
  void send(const OpenCallPtr& open, HttpRequest request, int redirects) {
    open->leave();
    auto copy = request;
    auto id = client_.start(std::move(copy), [this, open, request = std::move(request),
                                              redirects](auto result) mutable {
      if (open->ended()) return;
      if (!result) {
        if (!result.error().sent && redirects == 0) open->never_left();
        return open->fail(result.error().error);
      }
      take(open, std::move(request), *result, redirects);
    });
    open->on_stop([this, id, weak = std::weak_ptr<OpenCall>(open)] {
      client_.stop(id);
      if (auto call = weak.lock()) call->finish(Value());
    });
  }

  void take(const OpenCallPtr& open, HttpRequest request, const HttpResponse& response,
            int redirects) {
    std::string where = request.method + " " + display_url(request.url);
    long status = response.status;
    if (status >= 200 && status < 300) {
      auto value = value_of(response, where);
      return value ? open->finish(std::move(*value)) : open->fail(value.error());
    }
    bool redirect =
        status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    if (redirect && !response.location.empty()) {
      return follow(open, std::move(request), response, redirects);
    }
    bool server = status >= 500 || status == 429;
    std::string words = one_line_start(response.body);
    Error error(server ? ErrorCode::kHttpServerStatus : ErrorCode::kHttpStatus,
                fmt::format("{} answered {}{}{}", where, status, words.empty() ? "" : ": ", words));
    if (auto wait = retry_after_ms(response.retry_after, *calls().environment().clock)) {
      error = error.with_retry_after_ms(*wait);
    }
    // A gateway's word on a server that may have done its work.
    open->fail(error, status == 502 || status == 504);
  }

  void follow(const OpenCallPtr& open, HttpRequest request, const HttpResponse& response,
              int redirects) {
    if (redirects == kMaxRedirects) {
      return open->fail(Error(
          ErrorCode::kHttpStatus,
          fmt::format("{} redirects more than {} times", display_url(request.url), kMaxRedirects)));
    }
    auto target = redirect_target(request.url, response.location);
    if (!target) return open->fail(target.error());
    request.url = std::move(*target);
    // As every browser does: 303 always, 301 and 302 after a POST, go on with GET.
    bool to_get = response.status == 303 ||
                  ((response.status == 301 || response.status == 302) && request.method == "POST");
    if (to_get && request.method != "HEAD") {
      request.method = "GET";
      request.body.reset();
      std::erase_if(request.headers,
                    [](const auto& pair) { return lower(pair.first) == "content-type"; });
    }
    send(open, std::move(request), redirects + 1);
  }

  HttpClient client_;
  std::string url_;
  std::string method_;
  std::vector<std::pair<std::string, std::string>> headers_;
};

}  // namespace

Result<std::unique_ptr<Tool>> open_http_tool(const ToolSettings& settings) {
  auto url = check_base_url(setting_text(settings.values, "url"));
  if (!url) return std::unexpected(url.error());
  std::string method = setting_text(settings.values, "method", "GET");
  bool word =
      !method.empty() && std::ranges::all_of(method, [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!word || method == "CONNECT" || method == "TRACE") {
    return fail(ErrorCode::kSettingInvalid,
                fmt::format("method must be GET, POST, PUT, PATCH, DELETE or HEAD, not {}",
                            one_line_start(method)));
  }
  auto headers = setting_pairs(settings.values, "headers");
  if (!headers) return std::unexpected(headers.error());
  return std::make_unique<HttpTool>(settings, std::move(*url), std::move(method),
                                    std::move(*headers));
}

}  // namespace sluice
