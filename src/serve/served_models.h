// The models that the server offers, by id. `default` is the first of them. Immutable from open to
// close; any thread in between.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "schedule/model_instance.h"
#include "serve/api_error.h"

namespace sluice {

struct ServedModel {
  std::string id;
  std::unique_ptr<ModelInstance> instance;
  std::filesystem::path file;  // as it was named; empty for one elsewhere
  std::int64_t created_s = 0;
  std::string fingerprint;  // changes with the model's file and with this program
};

// "FILE", "URL" or "id=FILE"; without an id the file's name is it.
struct ModelArgument {
  std::string id;
  std::string location;
};
ModelArgument parse_model_argument(std::string_view text);

class ServedModels {
 public:
  // Loads each; `options` is for those in this process. kUsage for an id that stands twice.
  static Result<ServedModels> open(const std::vector<std::string>& arguments,
                                   const EngineOptions& options, std::int64_t now_s);
  explicit ServedModels(std::vector<ServedModel> models) : models_(std::move(models)) {}

  // 404 with a name that is close.
  ApiResult<const ServedModel*> find(std::string_view id) const;
  const std::vector<ServedModel>& all() const { return models_; }
  // Ends the instances, and with them what they still compute; nothing is found from then on.
  void close();

 private:
  std::vector<ServedModel> models_;
  bool closed_ = false;
};

}  // namespace sluice
