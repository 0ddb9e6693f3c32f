// Reads the fields of a request's JSON object one by one, strictly. The first problem is kept with
// its path ("messages[2].content") and later ones are passed over, so that code that reads is a
// plain list of fields; what comes back after a problem is a harmless default. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/value.h"
#include "serve/api_error.h"

namespace sluice {

// What is wrong with a request; shared by all readers of it.
class RequestProblem {
 public:
  void say(std::string path, std::string message, std::string code = "invalid_value");
  bool any() const { return first_.has_value(); }
  const ApiError& first() const { return *first_; }

 private:
  std::optional<ApiError> first_;
};

class RequestFields {
 public:
  // Says so when `value` is no object. `value` and `problem` must outlive the reader.
  RequestFields(const Value& value, std::string path, RequestProblem& problem);

  // The field, noted as known; nullptr when it is absent or null.
  const Value* find(std::string_view name);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most);
  std::optional<double> number(std::string_view name, double least, double most);
  std::optional<std::string> text(std::string_view name, std::size_t most_bytes);
  // One of the words.
  std::optional<std::string> word(std::string_view name,
                                  std::initializer_list<std::string_view> words);
  std::optional<RequestFields> object(std::string_view name);
  // Each item of an array with its path; says so when it is no array.
  void each(std::string_view name, std::size_t most,
            const std::function<void(const Value& item, const std::string& path)>& read);
  // Says so when it is absent or null.
  void require(std::string_view name);

  // Fields that change nothing here and are taken as they are.
  void ignore(std::initializer_list<std::string_view> names);
  // All fields that were not named above: what clients add to replies that they send back.
  void ignore_rest() { ignores_rest_ = true; }
  // A field that we do not have: an error unless it is absent, null or `harmless`.
  void refuse(std::string_view name, std::string_view why, const Value& harmless = {});
  // At the end: every field that was not named above is an error.
  void finish();

  std::string path_of(std::string_view name) const;
  void wrong(std::string_view name, std::string message, std::string code = "invalid_value");
  RequestProblem& problem() { return *problem_; }

 private:
  void wrong_type(std::string_view name, std::string_view wanted, const Value& found);

  const Value* value_;
  std::string path_;
  RequestProblem* problem_;
  std::vector<std::string_view> known_;
  bool ignores_rest_ = false;
};

}  // namespace sluice
