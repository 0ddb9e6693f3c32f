#include "host/resources/secrets.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "host/files/read_file.h"

namespace sluice {
namespace {

constexpr std::size_t kShortestSecret = 4;
constexpr std::size_t kMaxSecretBytes = 1 << 20;
constexpr int kMaxDepth = 64;  // as deep as a plan may be

bool is_reference(const Value& value, std::string_view key) {
  const Value* name = value.find(key);
  return value.is_object() && value.size() == 1 && name != nullptr && name->is_string();
}

class Resolver {
 public:
  Resolver(std::string_view owner, const SecretSources& sources, Redactor& redactor)
      : owner_(owner), sources_(sources), redactor_(redactor) {}

  Result<Value> resolve(const Value& value, const std::string& where, int depth) {
    if (depth > kMaxDepth) return value;
    if (depth > 0 && is_reference(value, "env")) return from_environment(value, where);
    if (depth > 0 && is_reference(value, "file")) return from_file(value, where);
    if (value.is_array()) {
      std::vector<Value> items;
      for (const Value& item : value.items()) {
        auto resolved = resolve(item, where, depth + 1);
        if (!resolved) return resolved;
        items.push_back(std::move(*resolved));
      }
      return Value::array(std::move(items));
    }
    if (!value.is_object()) return value;
    std::vector<Value::Member> members;
    for (const auto& [key, child] : value.members()) {
      // Schemas describe values: a property called `env` there is no reference.
      const bool schema = key == "input" || key == "output" || key == "columns";
      auto resolved = schema ? child : resolve(child, where + "." + key, depth + 1);
      if (!resolved) return resolved;
      members.emplace_back(key, std::move(*resolved));
    }
    return Value::object(std::move(members));
  }

 private:
  Result<Value> secret(std::string text, const std::string& where) {
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    auto value = Value::from_utf8(text);
    if (!value)
      return fail(ErrorCode::kSettingInvalid,
                  fmt::format("{}{}: the secret is not UTF-8 text", owner_, where));
    redactor_.learn(text);
    return value->with_labels({.secret = true});
  }

  Result<Value> from_environment(const Value& value, const std::string& where) {
    const std::string name(value.find("env")->as_string());
    std::optional<std::string> text;
    if (sources_.environment) {
      text = sources_.environment(name);
    } else if (const char* found = std::getenv(name.c_str())) {
      text = found;
    }
    if (!text) {
      return fail(
          ErrorCode::kSettingInvalid,
          fmt::format("{}{} needs the environment variable {}, which is not set; set it with: "
                      "export {}=...",
                      owner_, where, name, name));
    }
    return secret(std::move(*text), where);
  }

  Result<Value> from_file(const Value& value, const std::string& where) {
    const std::filesystem::path file =
        sources_.work_dir / std::filesystem::path(value.find("file")->as_string());
    auto text = read_file(file, kMaxSecretBytes);
    if (!text) {
      return fail(ErrorCode::kSettingInvalid,
                  fmt::format("{}{} needs the file {} for its secret: {}", owner_, where,
                              file.string(), text.error().message()));
    }
    return secret(std::move(*text), where);
  }

  std::string_view owner_;
  const SecretSources& sources_;
  Redactor& redactor_;
};

}  // namespace

void Redactor::learn(std::string_view secret) {
  if (secret.size() < kShortestSecret || std::ranges::find(secrets_, secret) != secrets_.end()) {
    return;
  }
  secrets_.emplace_back(secret);
  std::ranges::sort(secrets_, std::ranges::greater{}, &std::string::size);
}

std::string Redactor::clean(std::string_view text) const {
  std::string cleaned(text);
  for (const std::string& secret : secrets_) {
    for (std::size_t at = 0; (at = cleaned.find(secret, at)) != std::string::npos;) {
      constexpr std::string_view kMark = "[secret]";
      cleaned.replace(at, secret.size(), kMark);
      at += kMark.size();
    }
  }
  return cleaned;
}

Error Redactor::clean(const Error& error) const {
  if (secrets_.empty()) return error;
  Error cleaned(error.code(), clean(error.message()), error.pos());
  if (auto ms = error.retry_after_ms()) cleaned = cleaned.with_retry_after_ms(*ms);
  return error.cause() == nullptr ? cleaned : cleaned.with_cause(clean(*error.cause()));
}

void learn_secrets(const Plan& plan, const SecretSources& sources, Redactor& redactor) {
  for (const auto* list : {&plan.tools, &plan.models}) {
    for (const NamedSettings& named : *list) {
      if (!named.settings.is_object()) continue;
      // One by one: a secret that is not there keeps no other from being known.
      for (const auto& member : named.settings.members()) {
        (void)resolve_secrets(Value::object({member}), named.id, sources, redactor);
      }
    }
  }
  for (const auto& [id, inner] : plan.plans) {
    if (inner != nullptr) learn_secrets(*inner, sources, redactor);
  }
}

Result<Value> resolve_secrets(const Value& settings, std::string_view owner,
                              const SecretSources& sources, Redactor& redactor) {
  return Resolver(owner, sources, redactor).resolve(settings, "", 0);
}

}  // namespace sluice
