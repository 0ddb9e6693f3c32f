#include "plan/scope.h"

#include <algorithm>
#include <memory>
#include <set>

#include "fmt/format.h"
#include "plan/names.h"

namespace sluice {
namespace {

class Scope {
 public:
  Scope(const ScopeNames& names, Place place, ScopeFlags flags)
      : place_(place),
        flags_(flags),
        step_ids_(names.steps),
        steps_(names.steps.begin(), names.steps.end()) {
    for (const auto& [id, type] : names.params) {
      params_.emplace(id, type);
      param_ids_.push_back(id);
    }
  }

  NameClaim claim(std::string_view root, std::span<const std::string> path, bool slot) const {
    if (root == "params") return param(path);
    if (root == "steps") return step(path, slot);
    if (root == "run") return run(path);
    return local(root);
  }

 private:
  static NameClaim wrong(ErrorCode code, std::string message, std::size_t at) {
    NameClaim claim;
    claim.error = code;
    claim.message = std::move(message);
    claim.at = at;
    return claim;
  }
  static NameClaim good(std::size_t length, Type type = {}) {
    NameClaim claim;
    claim.path_length = length;
    claim.type = std::move(type);
    return claim;
  }

  NameClaim param(std::span<const std::string> path) const {
    if (path.empty()) {
      return wrong(ErrorCode::kExprName, "name one parameter, like params.count", 0);
    }
    auto found = params_.find(path[0]);
    if (found != params_.end()) return good(1, found->second);
    return wrong(
        ErrorCode::kParamUnknown,
        fmt::format("no parameter {}{}", shown(path[0]), did_you_mean(path[0], param_ids_)), 1);
  }

  NameClaim step(std::span<const std::string> path, bool slot) const {
    if (path.empty()) return wrong(ErrorCode::kExprName, "name a step, like steps.a.output", 0);
    if (!steps_.contains(path[0])) {
      return wrong(ErrorCode::kStepUnknown,
                   fmt::format("no step {}{}", shown(path[0]), did_you_mean(path[0], step_ids_)),
                   1);
    }
    if (path.size() < 2) {
      return wrong(ErrorCode::kExprName,
                   fmt::format("write steps.{0}.output or steps.{0}.status", path[0]), 1);
    }
    if (path[1] == "output") {
      NameClaim claim = good(2);
      claim.sliceable = flags_.mapped;
      return claim;
    }
    if (path[1] == "status" && !slot) return good(2, Type::of(Type::kString));
    return wrong(ErrorCode::kExprName,
                 fmt::format("a step has output and status, no {}", shown(path[1])), 2);
  }

  static NameClaim run(std::span<const std::string> path) {
    if (!path.empty() && path[0] == "id") return good(1, Type::of(Type::kString));
    return wrong(ErrorCode::kExprName, "of the run there is run.id only", path.empty() ? 0 : 1);
  }

  NameClaim local(std::string_view root) const {
    bool task = place_ == Place::kTask || place_ == Place::kUntil || place_ == Place::kFallback;
    bool mapped = task && flags_.mapped;
    bool repeated = task && flags_.repeated;
    if (root == "item" && mapped) return good(0);
    if (root == "index" && mapped) return good(0, Type::of(Type::kInteger));
    if (root == "round" && repeated) return good(0, Type::of(Type::kInteger));
    if (root == "previous" && repeated) return good(0);
    if (root == "output" && place_ == Place::kUntil) return good(0);
    if (root == "error" && place_ == Place::kFallback) return good(0, Type::of(Type::kObject));
    return wrong(ErrorCode::kExprName, misplaced(root), 0);
  }

  std::string misplaced(std::string_view root) const {
    if (root == "item" || root == "index") {
      return fmt::format("{} stands only in a step with for_each", root);
    }
    if (root == "round" || root == "previous") {
      return fmt::format("{} stands only in a step with repeat", root);
    }
    if (root == "output") return "output stands only in until; elsewhere write steps.ID.output";
    if (root == "error") return "error stands only in a step that on_error names";
    if (steps_.contains(std::string(root))) {
      return fmt::format("no name {0}; did you mean steps.{0}.output?", root);
    }
    if (params_.contains(std::string(root))) {
      return fmt::format("no name {0}; did you mean params.{0}?", root);
    }
    static constexpr std::string_view kRoots[] = {"params", "steps", "run",      "item",
                                                  "index",  "round", "previous", "output"};
    return fmt::format("no name {}{}", shown(root), did_you_mean(root, kRoots));
  }

  Place place_;
  ScopeFlags flags_;
  std::map<std::string, Type, std::less<>> params_;
  std::vector<std::string> param_ids_;
  std::vector<std::string> step_ids_;
  std::set<std::string, std::less<>> steps_;
};

}  // namespace

NameResolver checked_names(bool slots) {
  return [slots](std::string_view root, std::span<const std::string> path, bool) {
    NameClaim claim;
    if (root == "steps") {
      claim.path_length = std::min<std::size_t>(path.size(), 2);
      claim.sliceable = slots && path.size() > 1 && path[1] == "output";
    } else if (root == "params" || root == "run") {
      claim.path_length = std::min<std::size_t>(path.size(), 1);
    }
    return claim;
  };
}

NameResolver make_resolver(const ScopeNames& names, Place place, ScopeFlags flags) {
  auto scope = std::make_shared<const Scope>(names, place, flags);
  return [scope](std::string_view root, std::span<const std::string> path, bool slot) {
    return scope->claim(root, path, slot);
  };
}

}  // namespace sluice
