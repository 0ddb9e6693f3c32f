// Messages to prompt text with the template that the model file carries. What messages say is
// marked as data and stays so through the template. Immutable after construction; any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/expr.h"
#include "schedule/model_request.h"

namespace sluice {

class ChatTemplate {
 public:
  // kModelLoad when the template does not parse.
  static Result<ChatTemplate> parse(std::string source, std::string begin_text,
                                    std::string end_text);

  // Ends with the opening of the assistant's turn. kModelRefused with the template's own words.
  Result<std::vector<TextSegment>> render(std::span<const ModelMessage> messages) const;

 private:
  struct Program;
  std::shared_ptr<const Program> program_;
};

}  // namespace sluice
