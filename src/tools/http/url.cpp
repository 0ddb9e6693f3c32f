#include "tools/http/url.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "data/json.h"
#include "tools/http/http_client.h"
#include "tools/settings.h"
#include "tools/text.h"

namespace sluice {
namespace {

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, UrlDeleter>;

UrlHandle parse_url(const std::string& text) {
  UrlHandle url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return nullptr;
  return url;
}

std::string part_of(const UrlHandle& url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) return "";
  std::string result = text;
  curl_free(text);
  return result;
}

bool climbs(std::string_view path) {
  while (!path.empty()) {
    std::size_t slash = path.find('/');
    std::string_view segment = path.substr(0, slash);
    if (segment == "." || segment == "..") return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
  return false;
}

void append_pair(std::string& query, std::string_view name, const Value& value) {
  if (value.is_null()) return;
  if (!query.empty()) query += '&';
  query += percent_encode(name) + "=" + percent_encode(argument_text(value));
}

}  // namespace

std::string percent_encode(std::string_view text, std::string_view keep) {
  constexpr std::string_view kUnreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string result;
  for (char c : text) {
    if (kUnreserved.contains(c) || keep.contains(c)) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

Result<std::string> check_base_url(const std::string& url) {
  UrlHandle parsed = parse_url(url);
  std::string scheme = parsed ? part_of(parsed, CURLUPART_SCHEME) : "";
  if (!url.contains("://") || (scheme != "http" && scheme != "https") ||
      part_of(parsed, CURLUPART_HOST).empty()) {
    return fail(ErrorCode::kSettingInvalid,
                fmt::format("url must begin with http:// or https:// and name a host, "
                            "unlike {}",
                            display_url(one_line_start(url))));
  }
  return url;
}

Result<std::string> join_url(const std::string& base, std::string_view path, const Value& query) {
  UrlHandle url = parse_url(base);
  if (!url) return fail(ErrorCode::kArgInvalid, "the base URL does not parse");
  if (climbs(path)) {
    return fail(ErrorCode::kArgInvalid,
                fmt::format("path {} has a . or .. segment; a call stays below the tool's url",
                            to_json(Value::string(path))));
  }
  if (!path.empty()) {
    std::string joined = part_of(url, CURLUPART_PATH);
    while (joined.ends_with('/')) joined.pop_back();
    while (path.starts_with('/')) path.remove_prefix(1);
    joined += "/" + percent_encode(path, "/:@!$&'()*+,;=");
    curl_url_set(url.get(), CURLUPART_PATH, joined.c_str(), 0);
  }
  std::string pairs = part_of(url, CURLUPART_QUERY);
  if (query.is_object()) {
    for (const auto& [name, value] : query.members()) {
      if (!value.is_array()) append_pair(pairs, name, value);
      if (value.is_array()) {
        for (const Value& item : value.items()) append_pair(pairs, name, item);
      }
    }
  } else if (!query.is_null()) {
    return fail(ErrorCode::kArgInvalid, "query must be a map of names to values");
  }
  if (!pairs.empty()) curl_url_set(url.get(), CURLUPART_QUERY, pairs.c_str(), 0);
  return part_of(url, CURLUPART_URL);
}

Result<std::string> redirect_target(const std::string& from, const std::string& location) {
  UrlHandle source = parse_url(from);
  UrlHandle target = parse_url(from);
  std::string why;
  if (!source || !target ||
      curl_url_set(target.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) {
    why = "which is not a URL";
  } else {
    std::string scheme = part_of(target, CURLUPART_SCHEME);
    bool secure = part_of(source, CURLUPART_SCHEME) == "https";
    bool upgrade = !secure && scheme == "https";
    if (scheme != "http" && scheme != "https") {
      why = "which is neither http nor https";
    } else if (secure && scheme == "http") {
      why = "which would leave https";
    } else if (part_of(source, CURLUPART_HOST) != part_of(target, CURLUPART_HOST) ||
               (!upgrade && part_of(source, CURLUPART_PORT, CURLU_DEFAULT_PORT) !=
                                part_of(target, CURLUPART_PORT, CURLU_DEFAULT_PORT))) {
      why = "which is another server; name that one in url if it is meant";
    }
  }
  if (why.empty()) return part_of(target, CURLUPART_URL);
  return fail(ErrorCode::kHttpStatus, fmt::format("{} redirects to {}, {}", display_url(from),
                                                  display_url(one_line_start(location)), why));
}

}  // namespace sluice
