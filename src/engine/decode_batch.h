// A batch in the form that libllama reads, put together from parts: the next tokens of a request
// that decodes, or a chunk of a prompt. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "schedule/model_instance.h"
#include "schedule/prefix_tree.h"

struct llama_context;  // NOLINT(readability-identifier-naming): the library's own name

namespace sluice {

struct BatchPart {
  RequestId id = 0;
  SequenceId sequence = -1;
  std::uint32_t position = 0;     // of its first token
  std::span<const Token> tokens;  // borrowed until the batch is computed
  bool decode = false;
  bool output = false;  // the logits of its last token are wanted
};

class DecodeBatch {
 public:
  explicit DecodeBatch(std::span<const BatchPart> parts);

  // What llama_decode returned.
  int compute(llama_context* context);
  std::span<const BatchPart> parts() const { return parts_; }
  // Of the last token of a part that wants them; valid until the next batch.
  const float* logits(llama_context* context, std::size_t part) const;
  std::size_t size() const { return tokens_.size(); }

 private:
  std::span<const BatchPart> parts_;
  std::vector<std::int32_t> last_;  // index of each part's last token
  std::vector<Token> tokens_;
  std::vector<std::int32_t> positions_;
  std::vector<SequenceId> sequences_;
  std::vector<SequenceId*> sequence_pointers_;
  std::vector<std::int32_t> sequence_counts_;
  std::vector<std::int8_t> outputs_;
};

}  // namespace sluice
