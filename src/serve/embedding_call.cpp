#include "serve/embedding_call.h"

#include <fmt/format.h>

#include "serve/request_fields.h"

namespace sluice {

ApiResult<EmbeddingCall> read_embedding_call(const Value& body, SteadyNs now_ns) {
  (void)now_ns;
  RequestProblem problem;
  RequestFields reader(body, "", problem);
  EmbeddingCall call;
  reader.require("model");
  call.model = reader.text("model", 256).value_or("");
  reader.require("input");
  auto take = [&](const Value& item, const std::string& path) {
    if (item.is_string() && !item.as_string().empty()) {
      call.texts.emplace_back(item.as_string());
    } else if (item.is_string()) {
      problem.say(path, fmt::format("`{}` is empty, and an empty text has no embedding", path));
    } else {
      problem.say(
          path,
          fmt::format("`{}` must be text, and is {}{}", path, kind_with_article(item.kind()),
                      item.is_number() || item.is_array() ? "; tokens are not taken" : ""),
          "invalid_type");
    }
  };
  if (const Value* input = reader.find("input"); input != nullptr && input->is_array()) {
    reader.each("input", kMostTexts, take);
    if (call.texts.empty()) reader.wrong("input", "`input` holds no text");
  } else if (input != nullptr) {
    take(*input, "input");
  }
  call.base64 = reader.word("encoding_format", {"float", "base64"}) == "base64";
  reader.refuse("dimensions", "an embedding is as long as the model makes it");
  reader.ignore({"user"});
  reader.finish();
  if (problem.any()) return std::unexpected(problem.first());
  return call;
}

}  // namespace sluice
