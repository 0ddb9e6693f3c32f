// A server on a port of its own with models whose every word a test decides, and a plain socket as
// its client. The server's thread is the rig's; tests talk from theirs.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "schedule/model_instance.h"
#include "serve/api_context.h"

namespace sluice::test {

// Holds requests until the test lets them speak and end. Cancelled ones end at once.
class HeldModel final : public ModelInstance {
 public:
  HeldModel();
  ~HeldModel() override;

  const ModelInfo& info() const override { return info_; }
  RequestId submit(ModelRequest request, ModelCallbacks callbacks) override;
  void cancel(RequestId id) override;
  void release(std::string_view program) override;
  Result<std::vector<std::vector<float>>> embed(const std::vector<std::string>& texts) override;
  Result<std::size_t> count_tokens(std::string_view text) override { return text.size(); }

  // Waits until so many are open.
  bool wait_open(std::size_t count);
  std::vector<RequestId> open_ids();
  ModelRequest request(RequestId id);
  void say(RequestId id, const std::string& text);
  void end(RequestId id, Result<ModelReply> reply);
  std::size_t cancelled();
  std::vector<std::string> released();
  std::atomic<bool> embeddings_wait = false;  // while true, embed() blocks

 private:
  struct Open {
    ModelRequest request;
    ModelCallbacks callbacks;
  };
  ModelInfo info_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<RequestId, Open> open_;
  std::vector<std::string> released_;
  RequestId next_ = 1;
  std::size_t cancelled_ = 0;
};

struct RigOptions {
  HttpLimits limits;
  std::size_t most_open = 100;
  ApiKeys keys;
  HttpHandler handler;  // in place of the routes
};

class ServeRig {
 public:
  explicit ServeRig(RigOptions options = {});
  ~ServeRig();

  HeldModel& model() { return *model_; }
  std::uint16_t port() const { return port_; }
  // On the server's thread; waits for it.
  void on_server(const std::function<void(ApiContext&, HttpServer&)>& work);
  HttpNumbers numbers();
  // Whether it becomes true within some seconds; asked on the server's thread.
  bool becomes(const std::function<bool(ApiContext&, HttpServer&)>& holds);

 private:
  boost::asio::io_context io_{1};
  HeldModel* model_ = nullptr;
  std::unique_ptr<ApiContext> context_;
  std::unique_ptr<HttpServer> http_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

struct ClientReply {
  int status = 0;  // 0: none came
  std::string head;
  std::string body;  // chunks put together
};

class PlainClient {
 public:
  explicit PlainClient(std::uint16_t port, int receive_buffer = 0);
  ~PlainClient();
  PlainClient(const PlainClient&) = delete;
  PlainClient& operator=(const PlainClient&) = delete;

  bool send(std::string_view bytes) const;
  void post(const std::string& path, std::string_view body, const std::string& headers = "") const;
  // One whole reply; what follows it stays for the next.
  ClientReply reply();
  // Until the text has come; all that was read so far.
  std::string read_until(std::string_view text);
  bool closed();  // the server has closed it, or does within some seconds
  void close();
  void reset();  // closes so that the server sees an error

 private:
  bool read_more();

  int socket_ = -1;
  std::string buffer_;
};

// {"model":"m","messages":[...]} with more members.
std::string chat_body(const std::string& more = "");

}  // namespace sluice::test
