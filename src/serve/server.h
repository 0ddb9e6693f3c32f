// The server as a whole: models, HTTP, signals, and an orderly end. Blocks in run(); one server in
// a process at a time, from the main thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "serve/api_context.h"

namespace sluice {

struct ServeOptions {
  std::vector<std::string> models{""};  // as parse_model_argument takes them; "" the default one
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  std::filesystem::path keys_file;  // "" asks for no keys
  bool no_auth = false;             // open to other machines without keys
  std::size_t queue = 1000;         // requests that may wait for each model, beside those running
  std::int64_t drain_ms = 30'000;
  HttpLimits http;
  EngineOptions engine;  // for every model in this process
};

struct ServeNumbers {
  std::size_t connections = 0;
  std::uint32_t running = 0;
  std::uint32_t waiting = 0;
  std::uint64_t decode_tokens = 0;
  std::uint64_t prefill_tokens = 0;
  bool draining = false;
};

// What the one who started it wants to know. All may be empty; called on the thread of run().
struct ServeObserver {
  std::function<void(const RequestLine&)> on_request;
  std::function<void(const ServeNumbers&)> on_second;
  std::function<void(std::string_view)> on_notice;  // a line for people
};

// How it ended.
enum class ServeEnd { kDrained, kCutOff };

class ApiServer {
 public:
  // Loads the models and begins to listen.
  static Result<std::unique_ptr<ApiServer>> open(const ServeOptions& options, const Clock& clock);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  std::string address() const;
  const ServedModels& models() const;
  // Until SIGTERM or SIGINT and the end of what was accepted; a second one, or the time for
  // draining, cuts that off.
  ServeEnd run(ServeObserver observer);

 private:
  struct Impl;
  explicit ApiServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
