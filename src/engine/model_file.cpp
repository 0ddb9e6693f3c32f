#include "engine/model_file.h"

#include <fmt/format.h>
#include <llama.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <mutex>
#include <utility>
#include <vector>

#include "base/log.h"
#include "data/hash.h"
#include "engine/attention/attention.h"

namespace sluice {
namespace {

thread_local std::string complaint;

void keep_log(ggml_log_level level, const char* text, void*) {
  std::string_view line = text;
  while (line.ends_with('\n')) line.remove_suffix(1);
  if (line.empty()) return;
  if (level == GGML_LOG_LEVEL_ERROR && complaint.empty()) complaint = line;
  log(LogLevel::kDebug, line);
}

void prepare_llama() {
  static std::once_flag once;
  std::call_once(once, [] {
    llama_log_set(keep_log, nullptr);
    llama_backend_init();
  });
}

std::string seems_to_be(std::string_view head) {
  struct Known {
    std::string_view magic;
    std::string_view what;
  };
  static constexpr std::array kKnown{
      Known{"%PDF", "a PDF document"},
      Known{"PK\x03\x04", "a ZIP archive (PyTorch models are ZIP archives too)"},
      Known{"\x1f\x8b", "a gzip archive: unpack it first"},
      Known{"version https://git-lfs",
            "a Git LFS pointer: fetch the file itself with git lfs pull"},
      Known{"<", "an HTML or XML page: the download gave a page in place of the file"},
      Known{"ggjt", "a model in an old format of llama.cpp: convert it to GGUF"},
      Known{"ggml", "a model in an old format of llama.cpp: convert it to GGUF"},
      Known{"{", "JSON"},
      Known{"#!", "a script"},
      Known{"\x7f"
            "ELF",
            "a program"},
  };
  for (const Known& entry : kKnown) {
    if (head.starts_with(entry.magic)) return std::string(entry.what);
  }
  if (head.size() > 9 && head[8] == '{') return "a safetensors file: convert it to GGUF";
  return "a file of another kind";
}

std::unexpected<Error> unreadable(const std::filesystem::path& file, std::string_view why) {
  return fail(ErrorCode::kFileUnreadable,
              fmt::format("cannot read the model file {}: {}", file.string(), why));
}

}  // namespace

void ModelDeleter::operator()(llama_model* model) const { llama_model_free(model); }
void ContextDeleter::operator()(llama_context* context) const { llama_free(context); }

std::string take_llama_complaint() { return std::exchange(complaint, {}); }

Result<void> check_gguf(const std::filesystem::path& file) {
  std::error_code error;
  auto status = std::filesystem::status(file, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return unreadable(file, "there is no such file");
  }
  if (error) return unreadable(file, error.message());
  if (!std::filesystem::is_regular_file(status)) return unreadable(file, "it is not a plain file");
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) return unreadable(file, std::strerror(errno));
  std::string head(32, '\0');
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(in.gcount()));
  if (head.empty()) {
    return fail(ErrorCode::kModelLoad,
                fmt::format("the model file {} is empty: download it again", file.string()));
  }
  if (!head.starts_with("GGUF")) {
    return fail(ErrorCode::kModelLoad,
                fmt::format("{} is not a GGUF model file; it is {}; name a file that ends in .gguf",
                            file.string(), seems_to_be(head)));
  }
  return {};
}

Result<ModelHandle> load_model(const std::filesystem::path& file) {
  if (auto checked = check_gguf(file); !checked) return std::unexpected(checked.error());
  prepare_llama();
  install_attention();
  take_llama_complaint();
  llama_model_params params = llama_model_default_params();
  ModelHandle model(llama_model_load_from_file(file.c_str(), params));
  std::string why = take_llama_complaint();
  if (!model) {
    return fail(ErrorCode::kModelLoad,
                fmt::format("the model file {} cannot be loaded; it may be cut off or of a kind "
                            "that this build does not know{}{}",
                            file.string(), why.empty() ? "" : ": ", why));
  }
  if (!llama_model_has_decoder(model.get()) || llama_model_has_encoder(model.get())) {
    return fail(ErrorCode::kModelLoad,
                fmt::format("the model in {} does not generate text; use a decoder-only model",
                            file.string()));
  }
  return model;
}

Result<std::string> hash_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return unreadable(file, std::strerror(errno));
  Hasher hasher;
  std::vector<char> buffer(1 << 20);
  while (in) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    hasher.bytes({buffer.data(), static_cast<std::size_t>(in.gcount())});
  }
  if (in.bad()) return unreadable(file, "reading it failed");
  return hasher.finish().hex();
}

}  // namespace sluice
