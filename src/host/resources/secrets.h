// Secrets: settings name them as {env: N} or {file: P}; here they become text labelled secret. The
// Redactor knows them and takes them out of everything that people read. Any thread.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "plan/logical.h"

namespace sluice {

class Redactor {
 public:
  void learn(std::string_view secret);  // very short ones would blank out ordinary text: ignored
  std::string clean(std::string_view text) const;
  // The error with all its causes; the same one when nothing knows a secret.
  Error clean(const Error& error) const;
  bool empty() const { return secrets_.empty(); }

 private:
  std::vector<std::string> secrets_;  // longest first
};

struct SecretSources {
  std::function<std::optional<std::string>(const std::string& name)> environment;  // null: getenv
  std::filesystem::path work_dir;  // relative files start here
};

// `settings` with every {env: N} and {file: P} below its root replaced by a secret string.
// kSettingInvalid says what to set, named after `owner` ("tool pay").
Result<Value> resolve_secrets(const Value& settings, std::string_view owner,
                              const SecretSources& sources, Redactor& redactor);
// The secrets of a plan and the plans inside it, as far as they can be had here, for who only shows
// what a run left: what cannot be found is passed over.
void learn_secrets(const Plan& plan, const SecretSources& sources, Redactor& redactor);

}  // namespace sluice
