// A model whose replies stand in the test file, for what depends on an exact reply: tool-call
// turns, truncation, provider errors. What models really say is tested end to end.
//
// Each line of the script is an object: one of `text`, `json`, `tool_calls`, `error` (a code, with
// `message`); `when`: only for a request whose last message or prompt has this text in it;
// `completion_tokens`; `repeat`: may be given more than once. A request takes the first line that
// fits and is still there.
#pragma once

#include <memory>
#include <string_view>

#include "base/error.h"
#include "schedule/model_instance.h"

namespace sluice::plantest {

// Callbacks run on a thread of its own.
Result<std::unique_ptr<ModelInstance>> make_scripted_model(std::string_view script);

}  // namespace sluice::plantest
