// One call while its model works: its requests at the instance, what came of each choice, and the
// books that are kept about it. The I/O thread only; held by the route and by what the instance
// still has to say after the route has gone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serve/api_context.h"
#include "serve/generation_call.h"
#include "serve/generation_feed.h"

namespace sluice {

class OpenGeneration : public std::enable_shared_from_this<OpenGeneration> {
 public:
  // Admitted already, as `admitted` says.
  OpenGeneration(ApiContext& context, GenerationCall call, const ServedModel& model,
                 AdmissionRequest admitted, std::string tenant);
  ~OpenGeneration();
  OpenGeneration(const OpenGeneration&) = delete;
  OpenGeneration& operator=(const OpenGeneration&) = delete;

  void submit();
  // Ends what is still open; the route is woken.
  void cancel();
  void client_gone();
  bool has_client() const { return !client_gone_; }
  // What it used is known: for the limits of its key. Once.
  void settle();

  GenerationFeed& feed() { return *feed_; }
  const GenerationCall& call() const { return call_; }
  const std::string& first_program() const { return first_program_; }
  std::size_t open_choices() const { return open_; }

  // Takes what came; `text` is of this piece, `reply` is set when the choice has ended.
  struct Step {
    std::size_t choice = 0;
    std::string text;
    std::optional<Result<ModelReply>> reply;
  };
  std::vector<Step> take();
  // All replies, once every choice has one.
  const std::vector<ModelReply>& replies() const { return replies_; }
  const TokenCounts& tokens() const { return tokens_; }

 private:
  Result<ModelReply> finished(std::size_t choice, Result<ModelReply> result);
  Result<ModelReply> read_forced_call(ModelReply reply) const;
  ModelReply cut_reply(std::size_t choice);
  void count(std::size_t choice, const ModelReply& reply);

  ApiContext& context_;
  GenerationCall call_;
  const ServedModel& model_;
  AdmissionRequest admitted_;
  std::string tenant_;
  std::string first_program_;
  std::shared_ptr<GenerationFeed> feed_;
  std::function<void()> cancel_all_;  // in the context's list while this is open
  std::vector<RequestId> ids_;
  std::vector<std::string> programs_;
  std::vector<std::string> texts_;  // so far, of each choice
  std::vector<ModelReply> replies_;
  TokenCounts tokens_;
  std::size_t open_ = 0;  // choices whose end the route has not taken
  bool cancelled_ = false;
  bool client_gone_ = false;
  bool settled_ = false;
};

}  // namespace sluice
