// One pass of a value through a compiled schema. Lives on the stack of one thread.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/schema.h"
#include "data/schema/node.h"

namespace sluice::json_schema {

class Evaluation {
 public:
  // With no room for violations only the answer is wanted, and the first doubt ends it.
  Evaluation(const Graph& graph, std::size_t max_violations)
      : graph_(graph), max_violations_(max_violations) {}

  bool run(const Value& value);
  std::vector<SchemaViolation> take_violations() { return std::move(violations_); }

  // For keywords. The same value under another node:
  bool check(NodeIndex node, const Value& value);
  bool check_quietly(NodeIndex node, const Value& value);  // says nothing about why not
  // A part of the value:
  bool check_item(NodeIndex node, const Value& item, std::size_t index);
  bool check_item_quietly(NodeIndex node, const Value& item);
  bool check_member(NodeIndex node, const Value& member, std::string_view name);
  bool check_name(NodeIndex node, std::string_view name);

  // Reports a violation at the value where we are; `message` is only called when it is wanted.
  template <class Message>
  bool refuse(const std::string& pointer, const Message& message) {
    if (collecting()) add(pointer, message());
    return false;
  }
  bool collecting() const { return max_violations_ > 0 && quiet_ == 0; }
  // Nothing more can change the answer: keywords may return at once.
  bool finished() const { return stopped_ || !collecting(); }

 private:
  struct Step {
    std::string_view name;
    std::size_t index = 0;
    bool is_index = false;
  };
  enum class Answer : std::uint8_t { kYes, kQuietNo, kReportedNo };
  struct Visit {
    NodeIndex node;
    const Value* value;
    friend bool operator==(const Visit&, const Visit&) = default;
  };
  struct VisitHash {
    std::size_t operator()(const Visit& visit) const {
      return std::hash<const void*>()(visit.value) * 31 + visit.node;
    }
  };

  bool check_keywords(const Node& node, const Value& value);
  bool check_shared(NodeIndex node, const Value& value);
  bool descend(NodeIndex node, const Value& value, const Step& step);
  void add(const std::string& pointer, std::string message);

  const Graph& graph_;
  std::size_t max_violations_;
  std::vector<SchemaViolation> violations_;
  std::vector<Step> path_;
  int quiet_ = 0;
  int frames_ = 0;
  bool stopped_ = false;  // enough violations, or too deep
  bool too_deep_ = false;
  std::uint64_t shared_visits_ = 0;
  std::unordered_map<Visit, Answer, VisitHash> seen_;
  std::deque<Value> names_;  // kept, so that the addresses in seen_ stay theirs
};

}  // namespace sluice::json_schema
