#include "tools/table_query/run_table_query.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/json.h"
#include "tools/table_query/find_pairs.h"
#include "tools/table_query/row_expression.h"

namespace sluice {
namespace {

// What the items of a list take from it, or a result from a row that is part of it: not a secret
// that lies elsewhere inside.
Labels outer_labels(const Value& of) {
  Labels labels = of.labels();
  if (of.secret_only_inside()) labels.secret = false;
  return labels;
}

// The labels of a list beside those of its rows: it has what a row has, and nobody can tell whether
// it had it without. What every row has anyhow is theirs.
Labels own_labels(const Value& list) {
  Labels own = outer_labels(list);
  if (own.none() || list.items().empty()) return own;
  bool all_untrusted = true;
  bool one_tenant = true;
  for (const Value& row : list.items()) {
    all_untrusted = all_untrusted && row.labels().untrusted;
    one_tenant = one_tenant && row.labels().tenant == own.tenant;
  }
  if (all_untrusted) own.untrusted = false;
  if (one_tenant) own.tenant = 0;
  return own;
}

Result<std::vector<Value>> rows_of(const Value& args, std::string_view name, SourcePos pos) {
  const Value* list = args.find(name);
  if (list == nullptr || !list->is_array()) {
    return fail(ErrorCode::kExprType,
                fmt::format("{} needs a list of objects, not {}{}", name,
                            list ? kind_with_article(list->kind()) : "nothing",
                            list ? ": " + preview(*list) : ""),
                pos);
  }
  if (list->items().size() >= kNoRow) {
    return fail(ErrorCode::kExprLimit, fmt::format("{} has more than 2^32 items", name), pos);
  }
  std::vector<Value> rows(list->items().begin(), list->items().end());
  Labels labels = own_labels(*list);
  if (!labels.none()) {
    for (Value& row : rows) row = row.with_labels(labels);
  }
  return rows;
}

// A group: the first pair's key, and what select gave for each of its pairs.
struct Group {
  Value key;
  std::vector<Value> rows;
};

class TableWork {
 public:
  TableWork(const TableQuery& query, const Value& args, const TableRun& run)
      : query_(query), args_(args), run_(run) {}

  Result<Value> run() {
    auto rows = rows_of(args_, kTableFrom, query_.pos);
    if (!rows) return std::unexpected(rows.error());
    std::vector<Value> others;
    if (query_.match) {
      auto listed = rows_of(args_, kTableMatch, query_.pos);
      if (!listed) return std::unexpected(listed.error());
      others = *std::move(listed);
    }
    PairRequest request{query_,    args_,       *std::move(rows), std::move(others),
                        run_.stop, run_.compile};
    auto found = find_pairs(request);
    if (!found) return std::unexpected(found.error());
    if (run_.compiled != nullptr) *run_.compiled = found->compiled;
    labels_ = found->labels | own_labels(*args_.find(kTableFrom));
    if (query_.match) labels_ = labels_ | own_labels(*args_.find(kTableMatch));
    for (const RowPair pair : found->pairs) {
      labels_ = labels_ | outer_labels(request.rows[pair.row]);
      if (pair.other != kNoRow) labels_ = labels_ | outer_labels(request.others[pair.other]);
    }
    auto done = query_.group ? grouped(request, found->pairs) : selected(request, found->pairs);
    if (done) done = order();
    if (done) done = limit();
    if (!done) return std::unexpected(done.error());
    Value output = Value::array(std::move(output_));
    return labels_.none() ? output : output.with_labels(labels_);
  }

 private:
  static RowNames names_of(const PairRequest& request, RowPair pair) {
    RowNames names;
    names.row = &request.rows[pair.row];
    if (pair.other != kNoRow) names.other = &request.others[pair.other];
    return names;
  }

  // What select gives for a pair.
  Result<Value> select(std::optional<RowTree>& tree, const RowNames& names) {
    if (tree) return tree->evaluate(names, context_);
    if (!query_.match) return *names.row;
    return Value::object({{"row", *names.row}, {"other", names.other ? *names.other : Value()}});
  }

  Result<void> selected(const PairRequest& request, const std::vector<RowPair>& pairs) {
    std::optional<RowTree> tree;
    if (query_.select) tree.emplace(*query_.select, args_);
    output_.reserve(pairs.size());
    for (RowPair pair : pairs) {
      if (run_.stop) return std::unexpected(table_cancelled());
      Result<Value> value = select(tree, names_of(request, pair));
      if (!value) return std::unexpected(at_row(value.error(), pair.row, pair.other));
      output_.push_back(*std::move(value));
    }
    return {};
  }

  // Groups in the order in which they come up first, their rows in the order of the pairs.
  Result<void> grouped(const PairRequest& request, const std::vector<RowPair>& pairs) {
    std::optional<RowTree> tree;
    if (query_.select) tree.emplace(*query_.select, args_);
    RowTree by(query_.group->by, args_);
    std::unordered_map<std::string, std::size_t> places;
    std::vector<Group> groups;
    for (RowPair pair : pairs) {
      if (run_.stop) return std::unexpected(table_cancelled());
      RowNames names = names_of(request, pair);
      Result<Value> key = by.evaluate(names, context_);
      Result<Value> value = key ? select(tree, names) : key;
      if (!value) return std::unexpected(at_row(value.error(), pair.row, pair.other));
      auto [place, fresh] = places.try_emplace(canonical_json(*key), groups.size());
      if (fresh) groups.push_back({*key, {}});
      // Which rows a group has tells of the keys of all of them.
      labels_ = labels_ | outer_labels(*key);
      groups[place->second].rows.push_back(*std::move(value));
    }
    return give(std::move(groups));
  }

  Result<void> give(std::vector<Group> groups) {
    RowTree give(query_.group->give, args_);
    output_.reserve(groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i) {
      if (run_.stop) return std::unexpected(table_cancelled());
      Value rows = Value::array(std::move(groups[i].rows));
      RowNames names;
      names.rows = &rows;
      names.key = &groups[i].key;
      Result<Value> given = give.evaluate(names, context_);
      if (!given) {
        const Error& error = given.error();
        return fail(error.code(),
                    fmt::format("group {}: {}", preview(groups[i].key, 60), error.message()),
                    error.pos());
      }
      std::vector<Value::Member> members(groups[i].key.members().begin(),
                                         groups[i].key.members().end());
      members.insert(members.end(), given->members().begin(), given->members().end());
      output_.push_back(Value::object(std::move(members)));
    }
    return {};
  }

  // By the filter `sort` itself, so that an order means the same everywhere.
  Result<void> order() {
    if (!query_.order) return {};
    RowTree by(query_.order->by, args_);
    std::vector<Value> keyed;
    keyed.reserve(output_.size());
    for (std::size_t i = 0; i < output_.size(); ++i) {
      if (run_.stop) return std::unexpected(table_cancelled());
      RowNames names;
      names.output = &output_[i];
      Result<Value> key = by.evaluate(names, context_);
      if (!key) return std::unexpected(at_output(key.error(), i));
      labels_ = labels_ | key->labels();
      keyed.push_back(Value::object(
          {{"by", *std::move(key)}, {"at", Value::integer(static_cast<std::int64_t>(i))}}));
    }
    auto take_any = [](std::string_view, std::span<const std::string>, bool) {
      return NameClaim();
    };
    static const Expr sort = *Expr::compile(
        "{{ outputs | sort(reverse=reverse, case_sensitive=exact, attribute='by') }}", take_any);
    std::vector<Value> inputs;
    for (const ExprInput& input : sort.inputs()) {
      if (input.root == "outputs") inputs.push_back(Value::array(keyed));
      if (input.root == "reverse") inputs.push_back(Value::boolean(query_.order->reverse));
      if (input.root == "exact") inputs.push_back(Value::boolean(query_.order->case_sensitive));
    }
    Result<Value> sorted = sort.evaluate(inputs, context_);
    if (!sorted) {
      // Without the expression, which nobody wrote.
      const Error& error = sorted.error();
      const std::string& words = error.message();
      const std::size_t own = words.find("): ");
      return fail(error.code(), "order: " + words.substr(own == std::string::npos ? 0 : own + 3),
                  query_.order->by.pos);
    }
    std::vector<Value> ordered;
    ordered.reserve(output_.size());
    for (const Value& each : sorted->items()) {
      ordered.push_back(output_[static_cast<std::size_t>(each.find("at")->as_int())]);
    }
    output_ = std::move(ordered);
    return {};
  }

  static Error at_output(const Error& error, std::size_t index) {
    return Error(error.code(), fmt::format("output {}: {}", index, error.message()), error.pos());
  }

  Result<void> limit() {
    const Value* limit = args_.find(kTableLimit);
    if (limit == nullptr || limit->is_null()) return {};
    if (!limit->is_int() || limit->as_int() < 0) {
      return fail(ErrorCode::kExprType,
                  fmt::format("limit needs a whole number of at least 0, not {}", preview(*limit)),
                  query_.pos);
    }
    auto most = static_cast<std::uint64_t>(limit->as_int());
    if (most < output_.size()) output_.resize(most);
    labels_ = labels_ | limit->labels();
    return {};
  }

  const TableQuery& query_;
  const Value& args_;
  const TableRun& run_;
  EvalContext context_;
  Labels labels_;
  std::vector<Value> output_;
};

}  // namespace

Result<Value> run_table_query(const TableQuery& query, const Value& args, const TableRun& run) {
  return TableWork(query, args, run).run();
}

std::size_t table_rows(const Value& args) {
  std::size_t rows = 0;
  for (std::string_view name : {kTableFrom, kTableMatch}) {
    if (const Value* list = args.find(name)) rows += list->size();
  }
  return rows;
}

}  // namespace sluice
