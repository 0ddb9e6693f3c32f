#include "plan/plan_reader.h"

#include <algorithm>
#include <array>

#include "fmt/format.h"
#include "plan/names.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 12> kPlanKeys = {
    "sluice", "params", "schemas",     "models", "tools", "plans",
    "undo",   "allow",  "concurrency", "budget", "steps", "result"};
constexpr std::array<std::string_view, 3> kReserved = {"tenant", "priority", "deadline"};

void collect_positions(const TextNode& node, const std::string& pointer,
                       std::map<std::string, SourcePos, std::less<>>& into) {
  for (const TextMember& member : node.members) {
    std::string key = pointer + "/";
    for (char c : member.key) key += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    into.emplace(key, member.key_pos);
    collect_positions(member.value, key, into);
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    std::string key = fmt::format("{}/{}", pointer, i);
    into.emplace(key, node.items[i].pos);
    collect_positions(node.items[i], key, into);
  }
}

}  // namespace

std::shared_ptr<Plan> PlanReader::read(const TextNode& root, bool version_required) {
  plan_ = std::make_shared<Plan>();
  state_.plans.push_back(plan_);
  plan_->pos = root.pos;
  if (root.kind != TextNode::Kind::kMap) {
    out_.error(
        ErrorCode::kPlanSyntax, root.pos,
        fmt::format("a plan is a map with `sluice: 1` and `steps`, and this is {}", form_of(root)));
    return nullptr;
  }
  std::size_t findings = out_.all().size();
  version(root, version_required);
  for (const TextMember& member : root.members) {
    if (std::ranges::find(kReserved, member.key) != kReserved.end()) {
      out_.error(ErrorCode::kKeyReserved, member.key_pos,
                 fmt::format("{} is reserved for a later version", member.key));
    } else if (std::ranges::find(kPlanKeys, member.key) == kPlanKeys.end()) {
      unknown_key(member, kPlanKeys);
    }
  }
  // In the order in which they need each other, whatever the order they are written in.
  if (const TextMember* member = root.find("schemas")) schemas(*member);
  if (outer_) {
    for (const auto& entry : outer_->schemas) {
      bool own = std::ranges::any_of(plan_->schemas,
                                     [&](const auto& s) { return s.first == entry.first; });
      if (!own) plan_->schemas.push_back(entry);
    }
  }
  if (const TextMember* member = root.find("params")) params(*member);
  if (const TextMember* member = root.find("models")) named(*member, plan_->models);
  if (const TextMember* member = root.find("tools")) named(*member, plan_->tools);
  inherit();
  if (const TextMember* member = root.find("plans")) sub_plans(*member);
  if (const TextMember* member = root.find("concurrency")) {
    plan_->concurrency = static_cast<std::uint32_t>(count(*member, 1, 1'000'000).value_or(64));
  }
  if (const TextMember* member = root.find("budget")) plan_->budget = budget(*member);
  if (const TextMember* member = root.find("undo")) {
    plan_->undo = flag(*member).value_or(false);
    plan_->undo_pos = member->key_pos;
  }
  if (const TextMember* member = root.find("allow")) {
    if (auto names = located_words(*member)) plan_->allow = *std::move(names);
  }
  const TextMember* steps_member = root.find("steps");
  collect_names(steps_member);
  if (steps_member) {
    steps(*steps_member);
  } else {
    out_.error(ErrorCode::kKeyMissing, root.pos, "a plan needs steps: a map of id: step");
  }
  if (const TextMember* member = root.find("result")) {
    plan_->result = bind(member->value, Place::kResult, {});
  }
  plan_->source = source_of(root);
  for (std::size_t i = findings; i < out_.all().size(); ++i) {
    plan_->broken = plan_->broken || out_.all()[i].severity == Severity::kError;
  }
  return plan_;
}

void PlanReader::version(const TextNode& root, bool required) {
  const TextMember* member = root.find("sluice");
  if (!member) {
    if (required) {
      out_.error(ErrorCode::kPlanVersion, root.pos, "a plan starts with its version: sluice: 1");
    }
    return;
  }
  bool one = member->value.kind == TextNode::Kind::kScalar && member->value.scalar.is_int() &&
             member->value.scalar.as_int() == 1;
  if (!one) {
    out_.error(ErrorCode::kPlanVersion, member->value.pos,
               "this program knows version 1 of the plan language: sluice: 1");
  }
}

SchemaPtr PlanReader::schema(const TextNode& node) {
  if (node.broken) return nullptr;
  SchemaOptions options;
  options.resolve = [this](std::string_view uri) -> const Value* {
    constexpr std::string_view kPrefix = "#/schemas/";
    if (!uri.starts_with(kPrefix)) return nullptr;
    auto found = std::ranges::find(plan_->schemas, uri.substr(kPrefix.size()),
                                   [](const auto& entry) { return std::string_view(entry.first); });
    return found == plan_->schemas.end() ? nullptr : &found->second;
  };
  SchemaCompilation compiled = Schema::compile(node.to_value(), options);
  for (const SchemaProblem& problem : compiled.problems) {
    out_.error(problem.code, position_of(node, problem.pointer), problem.message);
  }
  return compiled.schema;
}

void PlanReader::schemas(const TextMember& member) {
  if (!want_map(member, "of id: schema")) return;
  for (const TextMember& entry : member.value.members) {
    good_id(entry.key, entry.key_pos);
    plan_->schemas.emplace_back(entry.key, entry.value.to_value());
  }
  for (const TextMember& entry : member.value.members) schema(entry.value);
}

void PlanReader::params(const TextMember& member) {
  if (!want_map(member, "of id: schema")) return;
  for (const TextMember& entry : member.value.members) {
    ParamSpec param;
    param.id = entry.key;
    param.pos = entry.key_pos;
    good_id(param.id, param.pos);
    param.schema = schema(entry.value);
    if (const TextMember* value = entry.value.find("default")) {
      param.has_default = true;
      param.default_value = value->value.to_value();
      if (param.schema) {
        auto violations = param.schema->validate(param.default_value);
        if (!violations.empty()) {
          out_.error(ErrorCode::kParamInvalid, value->value.pos,
                     fmt::format("the default of {} {}", param.id, describe(violations)));
        }
      }
    }
    const TextMember* description = entry.value.find("description");
    if (description && description->value.is_string()) {
      param.description = std::string(description->value.scalar.as_string());
    }
    names_.params.emplace_back(param.id, param.schema ? param.schema->type() : Type::any());
    plan_->params.push_back(std::move(param));
  }
}

void PlanReader::named(const TextMember& member, std::vector<NamedSettings>& into) {
  if (!want_map(member, "of id: {kind: ...}")) return;
  for (const TextMember& entry : member.value.members) {
    NamedSettings settings;
    settings.id = entry.key;
    settings.pos = settings.kind_pos = entry.key_pos;
    good_id(settings.id, settings.pos);
    if (!want_map(entry, "with kind and its settings")) continue;
    if (const TextMember* kind = entry.value.find("kind")) {
      settings.kind_pos = kind->value.text_pos;
      settings.kind = word(*kind).value_or("");
    } else {
      out_.error(ErrorCode::kKeyMissing, entry.key_pos,
                 fmt::format("{} has no kind", shown(settings.id)));
    }
    std::vector<Value::Member> members;
    for (const TextMember& setting : entry.value.members) {
      if (setting.key != "kind") members.emplace_back(setting.key, setting.value.to_value());
    }
    settings.settings = Value::object(std::move(members));
    collect_positions(entry.value, "", settings.positions);
    into.push_back(std::move(settings));
  }
}

// A sub-plan sees the tools and models of the plan around it, unless it names its own.
void PlanReader::inherit() {
  if (!outer_) return;
  auto take = [](const std::vector<NamedSettings>& from, std::vector<NamedSettings>& into) {
    std::size_t own = into.size();
    for (const NamedSettings& settings : from) {
      auto end = into.begin() + static_cast<std::ptrdiff_t>(own);
      if (std::find_if(into.begin(), end,
                       [&](const NamedSettings& mine) { return mine.id == settings.id; }) != end)
        continue;
      into.push_back(settings);
      into.back().inherited = true;
    }
  };
  take(outer_->tools, plan_->tools);
  take(outer_->models, plan_->models);
}

void PlanReader::sub_plans(const TextMember& member) {
  if (!want_map(member, "of id: plan or id: {file: F}")) return;
  for (const TextMember& entry : member.value.members) {
    good_id(entry.key, entry.key_pos);
    plan_->plans.emplace_back(entry.key, sub_plan(entry));
  }
}

PlanPtr PlanReader::sub_plan(const TextMember& member) {
  if (!want_map(member, "that is a plan, or {file: F}")) return nullptr;
  const TextMember* file = member.value.find("file");
  if (file && !member.value.find("steps")) {
    static constexpr std::array<std::string_view, 1> kKeys = {"file"};
    only_keys(member.value, kKeys);
    return plan_of_file(*file);
  }
  return PlanReader(state_, plan_.get()).read(member.value, false);
}

PlanPtr PlanReader::plan_of_file(const TextMember& file) {
  std::optional<std::string> name = word(file);
  if (!name) return nullptr;
  if (!state_.options.read_file) {
    out_.error(ErrorCode::kFileUnreadable, file.value.pos,
               "sub-plans from files cannot be read here; write the plan into plans");
    return nullptr;
  }
  if (std::ranges::find(state_.open_files, *name) != state_.open_files.end()) {
    out_.error(ErrorCode::kRecursion, file.value.pos,
               fmt::format("{} contains itself ({} -> {}); use repeat", *name,
                           fmt::join(state_.open_files, " -> "), *name));
    return nullptr;
  }
  if (state_.open_files.size() > 16 || state_.files.size() > 1000) {
    out_.error(ErrorCode::kPlanTooLarge, file.value.pos, "too many plans within plans");
    return nullptr;
  }
  auto text = state_.options.read_file(*name);
  if (!text) {
    out_.error(ErrorCode::kFileUnreadable, file.value.pos,
               fmt::format("cannot read the plan {}: {}", *name, text.error().message()));
    return nullptr;
  }
  auto index = static_cast<std::uint32_t>(state_.files.size());
  state_.files.push_back(*name);
  auto root = read_text_tree(*text, index, state_.options.limits, out_);
  if (!root) return nullptr;
  state_.open_files.push_back(*name);
  PlanPtr plan = PlanReader(state_, plan_.get()).read(*root, true);
  state_.open_files.pop_back();
  return plan;
}

void PlanReader::collect_names(const TextMember* steps) {
  if (!steps || steps->value.kind != TextNode::Kind::kMap) return;
  for (const TextMember& step : steps->value.members) {
    names_.steps.push_back(step.key);
    const TextMember* on_error = step.value.find("on_error");
    const TextMember* fallback = on_error ? on_error->value.find("step") : nullptr;
    if (fallback && fallback->value.is_string()) {
      bool mapped = step.value.find("for_each") != nullptr;
      fallbacks_.try_emplace(std::string(fallback->value.scalar.as_string()), mapped);
    }
  }
}

void PlanReader::steps(const TextMember& member) {
  if (!want_map(member, "of id: step")) return;
  state_.steps += member.value.members.size();
  if (state_.steps > state_.options.limits.max_steps) {
    out_.error(ErrorCode::kPlanTooLarge, member.key_pos,
               fmt::format("the plan has {} steps and may have {}; use for_each", state_.steps,
                           state_.options.limits.max_steps));
    return;
  }
  plan_->steps.reserve(member.value.members.size());
  for (const TextMember& entry : member.value.members) step(entry);
}

// The plan as JSON, with sub-plans from files put in their place: it stands for itself.
Value PlanReader::source_of(const TextNode& root) const {
  std::vector<Value::Member> members;
  for (const TextMember& member : root.members) {
    if (member.key != "plans" || member.value.kind != TextNode::Kind::kMap) {
      members.emplace_back(member.key, member.value.to_value());
      continue;
    }
    std::vector<Value::Member> plans;
    for (const auto& [id, plan] : plan_->plans) {
      const TextMember* written = member.value.find(id);
      plans.emplace_back(id, plan ? plan->source : written ? written->value.to_value() : Value());
    }
    members.emplace_back(member.key, Value::object(std::move(plans)));
  }
  return Value::object(std::move(members));
}

}  // namespace sluice
