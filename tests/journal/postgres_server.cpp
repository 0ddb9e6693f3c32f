#include "tests/journal/postgres_server.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <pqxx/pqxx>
#include <thread>
#include <vector>

namespace sluice::testing_contract {
namespace {

namespace fs = std::filesystem;

// Debian keeps each version's programs apart.
fs::path newest_binaries() {
  std::vector<std::pair<int, fs::path>> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const int version = std::atoi(entry.path().filename().c_str());
    if (fs::exists(entry.path() / "bin" / "postgres")) {
      found.emplace_back(version, entry.path() / "bin");
    }
  }
  return found.empty() ? fs::path() : std::ranges::max(found).second;
}

// Whom root becomes for it; nullptr when we are somebody else already.
const passwd* other_user() {
  if (geteuid() != 0) return nullptr;
  const passwd* user = getpwnam("postgres");
  return user != nullptr ? user : getpwnam("nobody");
}

class PostgresServer {
 public:
  PostgresServer() {
    const fs::path binaries = newest_binaries();
    if (binaries.empty()) {
      problem_ = "no PostgreSQL in /usr/lib/postgresql; run scripts/install_packages.sh";
      return;
    }
    std::string name = (fs::temp_directory_path() / "sluice-pg-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      problem_ = "no temporary folder";
      return;
    }
    folder_ = name;
    if (const passwd* user = other_user()) {
      if (chown(folder_.c_str(), user->pw_uid, user->pw_gid) != 0) problem_ = "cannot chown";
    }
    const pid_t made = start({(binaries / "initdb").string(), "-D", data(), "-A", "trust", "-U",
                              "sluice", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"});
    int status = 0;
    if (waitpid(made, &status, 0) != made || status != 0) {
      problem_ = "initdb failed: " + log_text();
      return;
    }
    server_ = start({(binaries / "postgres").string(), "-D", data(), "-k", folder_, "-c",
                     "listen_addresses=", "-c", "fsync=on", "-c", "shared_buffers=32MB", "-c",
                     "max_connections=60", "-c", "dynamic_shared_memory_type=mmap"});
    if (!answers()) problem_ = "the server does not answer: " + log_text();
  }

  ~PostgresServer() {
    if (server_ > 0) {
      kill(server_, SIGINT);  // the fast shutdown
      waitpid(server_, nullptr, 0);
    }
    std::error_code ignored;
    if (folder_.empty()) return;
    fs::remove_all(folder_, ignored);
    fs::remove(folder_ + ".log", ignored);
  }

  const std::string& folder() const { return folder_; }
  const std::string& problem() const { return problem_; }

 private:
  std::string data() const { return folder_ + "/data"; }

  pid_t start(const std::vector<std::string>& command) {
    std::vector<char*> arguments;
    for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const passwd* user = other_user();
    const std::string log = folder_ + ".log";
    const pid_t child = fork();
    if (child != 0) return child;
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(out, 1);
    dup2(out, 2);
    if (user != nullptr &&
        (setgroups(0, nullptr) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) {
      _exit(126);
    }
    prctl(PR_SET_PDEATHSIG, SIGQUIT);  // it must not outlive a test that crashes
    if (chdir("/") != 0) _exit(126);
    execv(arguments[0], arguments.data());
    _exit(127);
  }

  bool answers() const {
    for (int tries = 0; tries < 600; ++tries) {
      try {
        pqxx::connection connection("postgresql:///postgres?user=sluice&host=" + folder_);
        return true;
      } catch (const std::exception&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    }
    return false;
  }

  std::string log_text() const {
    std::ifstream file(folder_ + ".log");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string folder_;
  std::string problem_;
  pid_t server_ = 0;
};

std::unique_ptr<PostgresServer>& shared_server() {
  static std::unique_ptr<PostgresServer> server;
  return server;
}

// The server ends before the program does, with GoogleTest's environment.
class StopServer final : public testing::Environment {
 public:
  void TearDown() override { shared_server().reset(); }
};
[[maybe_unused]] const auto* const kStopServer = testing::AddGlobalTestEnvironment(new StopServer);

}  // namespace

const std::string& postgres_folder() {
  static const std::string nowhere;
  auto& server = shared_server();
  if (!server) server = std::make_unique<PostgresServer>();
  if (server->problem().empty()) return server->folder();
  ADD_FAILURE() << server->problem();
  return nowhere;
}

std::string postgres_url() {
  return "postgresql:///postgres?user=sluice&host=" + postgres_folder();
}

}  // namespace sluice::testing_contract
