// What several rules need to know of a plan, worked out once: who reads whom, in which order, what
// type each output has, and why each step may be skipped. Internal to verify/. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/name_map.h"
#include "plan/references.h"
#include "plan/scope.h"
#include "verify/verify.h"

namespace sluice {

// A set of causes by number; grows to the largest one.
class CauseSet {
 public:
  void add(std::size_t cause);
  void add(const CauseSet& other);
  bool empty() const;
  bool within(const CauseSet& other) const;  // each of its causes is in `other`

 private:
  std::vector<std::uint64_t> words_;
};

struct StepFacts {
  std::vector<Reference> reads;  // of steps that exist
  bool slots = false;            // its output has slots
  std::uint32_t fallback_of = kNoIndex;
  CauseSet skips_whole;       // why all of it may be skipped
  CauseSet skips_slot;        // why one task of it may be
  std::size_t type_size = 0;  // nodes of its types, shared ones counted each time
  Type call;                  // what one call gives, before on_error
  Type slot;                  // of one task
  Type whole;                 // of `steps.S.output`
};

class PlanFacts {
 public:
  explicit PlanFacts(const VerifyContext& context);

  const Plan& plan;
  const ToolCatalog& tools;
  std::vector<StepFacts> steps;      // as in plan.steps
  std::vector<std::uint32_t> order;  // producers first; only steps that are in no cycle
  bool cyclic = false;

  std::uint32_t index_of(std::string_view step) const;  // kNoIndex: no such step
  // The function that a tool step calls; null when unknown.
  const FunctionSpec* function_of(const Step& step) const;
  // Whether a read takes one slot of what it names.
  bool reads_slot(const Step& reader, const Reference& read) const;

  // An expression with the types of what it reads; `leaf`'s own when that cannot be better. The
  // leaf is one of the plan. Compiled once: the types of what it reads stand when it is asked for.
  const Expr& typed(const Binding& leaf, Place place, const Step* reader) const;
  Type type_of(const Binding& binding, Place place, const Step* reader) const;
  // The place of a step's body and when.
  Place body_place(std::uint32_t step) const;
  Type item_type(const Step& step) const;

 private:
  void collect();
  void sort();
  void find_skips();
  void find_types();
  bool bound_type(std::uint32_t step);
  Type call_type(const Step& step) const;
  Type input_type(const ExprInput& input, const Step* reader) const;
  Expr compile_typed(const Binding& leaf, Place place, const Step* reader) const;
  const NameResolver& base_resolver(Place place, ScopeFlags flags) const;

  struct TypedLeaf {
    const Binding* leaf;
    Place place;
    struct Hash {
      std::size_t operator()(const TypedLeaf& of) const {
        return std::hash<const Binding*>()(of.leaf) ^ static_cast<std::size_t>(of.place);
      }
    };
    friend bool operator==(const TypedLeaf&, const TypedLeaf&) = default;
  };

  NameMap<std::uint32_t> index_;
  ScopeNames names_;
  mutable std::map<std::pair<Place, int>, NameResolver> resolvers_;
  mutable std::unordered_map<TypedLeaf, Expr, TypedLeaf::Hash> typed_;
};

}  // namespace sluice
