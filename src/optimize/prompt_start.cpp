#include "optimize/prompt_start.h"

#include <algorithm>

namespace sluice {
namespace {

std::string written(const Binding& leaf) {
  if (!leaf.text.empty()) return leaf.text;
  if (auto constant = leaf.expr.as_constant(); constant && constant->is_string()) {
    return std::string(constant->as_string());
  }
  return leaf.expr.to_string();
}

}  // namespace

std::vector<PromptPiece> prompt_start(const Step& step) {
  std::vector<PromptPiece> pieces;
  auto add = [&](const Binding* leaf) {
    if (leaf == nullptr || leaf->kind != Binding::Kind::kExpr) return false;
    pieces.push_back({written(*leaf), leaf->as_constant().has_value()});
    return true;
  };
  if (step.op != OperatorKind::kLlm || step.with.find("tools") != nullptr) return pieces;
  if (const Binding* prompt = step.with.find("prompt")) {
    add(prompt);
    return pieces;
  }
  const Binding* messages = step.with.find("messages");
  if (messages == nullptr || messages->kind != Binding::Kind::kList) return pieces;
  for (const Binding& message : messages->items) {
    if (message.kind != Binding::Kind::kMap) return pieces;
    if (!add(message.find("role")) || !add(message.find("content"))) return pieces;
  }
  return pieces;
}

std::size_t constant_bytes(const std::vector<PromptPiece>& pieces) {
  std::size_t bytes = 0;
  for (const PromptPiece& piece : pieces) {
    const std::size_t reads = std::min(piece.text.find("{{"), piece.text.find("{%"));
    bytes += piece.constant ? piece.text.size() : std::min(reads, piece.text.size());
    if (!piece.constant) break;
  }
  return bytes;
}

}  // namespace sluice
