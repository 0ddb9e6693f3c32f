// Recorded runs from outside: the commands that list them, show them, tell them things and take
// them up again, each in a process of its own over one journal on the disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "data/json.h"
#include "tests/cli/program.h"
#include "tests/host/scratch_dir.h"

namespace sluice::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class DurableProgram : public testing::Test {
 protected:
  void SetUp() override {
    if (program_path().empty()) GTEST_SKIP() << "SLUICE_BIN names no program";
  }
  ProgramResult run(std::vector<std::string> arguments, int interrupt_after_ms = 0) {
    ProgramInput input;
    input.directory = dir.path();
    input.environment = {{"SLUICE_CACHE", dir.path() / "cache"},
                         {"SLUICE_JOURNAL", dir.path() / "journal.db"},
                         {"SLUICE_MODEL", ""}};
    input.interrupt_after_ms = interrupt_after_ms;
    return run_program(arguments, input);
  }
  // The id in the line "run 01kd3...".
  static std::string id_in(const std::string& err) {
    const std::size_t at = ("\n" + err).find("\nrun ");
    return at == std::string::npos ? "" : err.substr(at + 4, 16);
  }
  std::string ledger() const {
    std::ostringstream text;
    text << std::ifstream(dir.path() / "ledger").rdbuf();
    return text.str();
  }
  // Each list line of --json as an object.
  static std::vector<Value> lines(const std::string& out) {
    std::vector<Value> found;
    std::istringstream in(out);
    for (std::string line; std::getline(in, line);) {
      auto value = parse_json(line);
      EXPECT_TRUE(value.has_value()) << line;
      if (value) found.push_back(*value);
    }
    return found;
  }
  ScratchDir dir;
};

constexpr const char* kGood = R"(sluice: 1
params: {n: {type: integer, default: 2}}
steps:
  twice: {value: "{{ params.n * 2 }}"}
result: "{{ steps.twice.output }}"
)";

constexpr const char* kApproval = R"(sluice: 1
tools:
  note: {kind: process, stdout: text, effect: once,
    command: [sh, -c, 'echo "$1" >> ledger; printf %s "$1"', sh]}
steps:
  first: {tool: note, with: {args: [first]}}
  ask:
    after: [first]
    wait: {signal: approve, of: finance, ask: "Pay {{ steps.first.output }}?"}
    output: {type: object, required: [ok], properties: {ok: {type: boolean}}}
  last: {tool: note, with: {args: [last]}, when: "{{ steps.ask.output.ok }}"}
result: "{{ steps.ask.output.ok }}"
)";

TEST_F(DurableProgram, ListsAndShowsWhatRan) {
  dir.write("p.yaml", kGood);
  auto ran = run({"run", "p.yaml"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const std::string id = id_in(ran.err);
  ASSERT_EQ(id.size(), 16u) << ran.err;
  auto list = run({"runs"});
  EXPECT_EQ(list.exit_code, 0) << list.err;
  EXPECT_THAT(list.out, HasSubstr(id));
  EXPECT_THAT(list.out, HasSubstr("succeeded"));
  EXPECT_THAT(list.out, HasSubstr("p.yaml"));
  const auto json = lines(run({"runs", "--json"}).out);
  ASSERT_EQ(json.size(), 1u);
  EXPECT_EQ(json[0].find("run")->as_string(), id);
  EXPECT_EQ(json[0].find("state")->as_string(), "succeeded");
  EXPECT_TRUE(lines(run({"runs", "--json", "--state", "failed"}).out).empty());
  EXPECT_TRUE(lines(run({"runs", "--json", "--plan", "q.yaml"}).out).empty());
  EXPECT_EQ(lines(run({"runs", "--json", "--since", "1h", "--state", "ended"}).out).size(), 1u);
  EXPECT_EQ(run({"runs", "--state", "sleepy"}).exit_code, 3);
  auto show = run({"runs", "show", "last"});
  EXPECT_EQ(show.exit_code, 0) << show.err;
  EXPECT_THAT(show.out, HasSubstr("run " + id + " succeeded"));
  EXPECT_THAT(show.out, HasSubstr("twice"));
  auto shown = parse_json(run({"runs", "show", id.substr(0, 12), "--json"}).out);
  ASSERT_TRUE(shown.has_value());
  EXPECT_EQ(shown->find("result")->as_int(), 4);
  EXPECT_EQ(shown->find("steps")->items().size(), 1u);
}

TEST_F(DurableProgram, AnInterruptedRunSaysHowItGoesOn) {
  dir.write("p.yaml", kApproval);
  auto ran = run({"run", "p.yaml"}, 700);
  EXPECT_EQ(ran.exit_code, 130) << ran.err;
  const std::string id = id_in(ran.err);
  EXPECT_THAT(ran.err, HasSubstr("waiting for signal approve, for finance: Pay first?"));
  EXPECT_THAT(ran.err, HasSubstr("sluice signal " + id + " approve JSON"));
  EXPECT_THAT(ran.err, HasSubstr("next: sluice resume " + id));
  auto waits = run({"approve"});
  EXPECT_THAT(waits.out, HasSubstr(id));
  EXPECT_THAT(waits.out, HasSubstr("Pay first?"));
  EXPECT_THAT(waits.out, HasSubstr("sluice resume " + id));
  EXPECT_THAT(run({"approve", "--for", "sales"}).err, HasSubstr("nothing waits"));
  ASSERT_EQ(lines(run({"approve", "--for", "finance", "--json"}).out).size(), 1u);
  EXPECT_THAT(run({"runs"}).out, HasSubstr("waiting"));

  auto wrong = run({"signal", "last", "aprove", "{}"});
  EXPECT_EQ(wrong.exit_code, 3);
  EXPECT_THAT(wrong.err, HasSubstr("did you mean approve?"));
  wrong = run({"signal", "last", "approve", "true"});
  EXPECT_EQ(wrong.exit_code, 3);
  EXPECT_THAT(wrong.err, HasSubstr("SIGNAL_INVALID"));
  auto sent = run({"signal", "last", "approve", R"({"ok": true})"});
  EXPECT_EQ(sent.exit_code, 0) << sent.err;
  EXPECT_THAT(sent.err, HasSubstr("next: sluice resume " + id));

  auto resumed = run({"resume", "last"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(resumed.out, "true\n");
  EXPECT_THAT(resumed.err, HasSubstr("taken over: 1 result"));
  EXPECT_EQ(ledger(), "first\nlast\n");
  auto again = run({"resume", id});
  EXPECT_EQ(again.exit_code, 3);
  EXPECT_THAT(again.err, HasSubstr("RUN_ENDED"));
}

TEST_F(DurableProgram, DoubtIsShownAndResolved) {
  dir.write("p.yaml", R"(sluice: 1
tools: {pay: {kind: process, stdout: text, command: [sh, -c, "echo paid >> ledger; sleep 30"]}}
steps:
  a: {tool: pay, timeout: 300ms}
result: "{{ steps.a.output }}"
)");
  auto ran = run({"run", "p.yaml"});
  EXPECT_EQ(ran.exit_code, 4) << ran.err;
  const std::string id = id_in(ran.err);
  EXPECT_THAT(ran.err, HasSubstr("in doubt a"));
  EXPECT_THAT(ran.err, HasSubstr("sluice resolve " + id + " a --done JSON"));
  EXPECT_THAT(run({"runs", "--state", "in_doubt"}).out, HasSubstr(id));
  EXPECT_THAT(run({"runs", "show", "last"}).out, HasSubstr("sluice resolve " + id + " a --retry"));
  EXPECT_EQ(run({"resolve", "last", "a"}).exit_code, 3) << "what became of it?";
  EXPECT_EQ(run({"resolve", "last", "b", "--retry"}).exit_code, 3);
  EXPECT_EQ(run({"resolve", "last", "a", "--done", "{nonsense"}).exit_code, 3);
  auto sent = run({"resolve", "last", "a", "--done", "\"p-17\""});
  EXPECT_EQ(sent.exit_code, 0) << sent.err;
  auto resumed = run({"resume", "last", "-q"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(resumed.out, "p-17\n");
  EXPECT_EQ(ledger(), "paid\n");
}

TEST_F(DurableProgram, CancelEndsARunThatNobodyHas) {
  dir.write("p.yaml", kApproval);
  ASSERT_EQ(run({"run", "p.yaml"}, 700).exit_code, 130);
  auto cancelled = run({"cancel", "last", "wrong month"});
  EXPECT_EQ(cancelled.exit_code, 0) << cancelled.err;
  EXPECT_THAT(cancelled.err, Not(HasSubstr("1 waiting")));
  EXPECT_THAT(run({"runs"}).out, HasSubstr("cancelled"));
  EXPECT_EQ(lines(run({"runs", "--json"}).out)[0].find("waits")->as_int(), 0);
  EXPECT_THAT(run({"runs", "show", "last"}).out, Not(HasSubstr("1 waiting")));
  EXPECT_EQ(ledger(), "first\n");
  for (const std::vector<std::string>& command : {std::vector<std::string>{"resume", "last"},
                                                  {"cancel", "last"},
                                                  {"resolve", "last", "first", "--retry"},
                                                  {"signal", "last", "approve", "no JSON"},
                                                  {"signal", "last", "no_such_signal"}}) {
    auto ran = run(command);
    EXPECT_EQ(ran.exit_code, 3) << command[0];
    EXPECT_THAT(ran.err, HasSubstr("RUN_ENDED")) << command[0];
  }
}

TEST_F(DurableProgram, ForksFromAStep) {
  dir.write("p.yaml", R"(sluice: 1
tools:
  note: {kind: process, stdout: text, effect: idempotent,
    command: [sh, -c, 'echo "$1" >> ledger; printf %s "$1"', sh]}
params: {word: {type: string, default: one}}
steps:
  a: {tool: note, with: {args: [a]}}
  b: {tool: note, with: {args: ["{{ steps.a.output }}{{ params.word }}"]}}
result: "{{ steps.b.output }}"
)");
  auto ran = run({"run", "p.yaml"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const std::string id = id_in(ran.err);
  auto forked = run({"fork", "last", "--from", "b", "--param", "word=two"});
  EXPECT_EQ(forked.exit_code, 0) << forked.err;
  EXPECT_EQ(forked.out, "atwo\n");
  EXPECT_EQ(ledger(), "a\naone\natwo\n");
  EXPECT_THAT(forked.err, HasSubstr("from run " + id + ": can take over a (1); runs again: b"));
  EXPECT_THAT(run({"runs", "show", "last"}).out, HasSubstr("forked from " + id + " at step b"));
  EXPECT_EQ(run({"fork", "last", "--from", "nosuch"}).exit_code, 2);
}

TEST_F(DurableProgram, ReplaysExportsChecksAndTails) {
  dir.write("p.yaml", kGood);
  ASSERT_EQ(run({"run", "p.yaml"}).exit_code, 0);
  auto replayed = run({"replay", "last"});
  EXPECT_EQ(replayed.exit_code, 0) << replayed.err;
  EXPECT_THAT(replayed.out, HasSubstr("every decision the same"));
  EXPECT_EQ(parse_json(run({"replay", "last", "--json"}).out)->find("same")->as_bool(), true);
  const auto records = lines(run({"runs", "export", "last"}).out);
  ASSERT_GE(records.size(), 3u);
  EXPECT_EQ(records[0].find("seq")->as_int(), 1);
  auto checked = run({"runs", "check"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_THAT(checked.out, HasSubstr("1 run with"));
  auto tail = run({"runs", "tail", "last"});
  EXPECT_EQ(tail.exit_code, 0) << tail.err;
  EXPECT_THAT(tail.out, HasSubstr("the run ended: succeeded"));
  for (const Value& event : lines(run({"runs", "tail", "last", "--json"}).out)) {
    EXPECT_NE(event.find("event"), nullptr);
  }
}

TEST_F(DurableProgram, GcDeletesWhatIsAskedFor) {
  dir.write("p.yaml", kGood);
  ASSERT_EQ(run({"run", "p.yaml"}).exit_code, 0);
  EXPECT_EQ(run({"runs", "gc"}).exit_code, 3) << "nothing was said";
  EXPECT_THAT(run({"runs", "gc", "--older-than", "1d"}).err, HasSubstr("deleted 0 runs"));
  EXPECT_THAT(run({"runs", "gc", "--keep-bytes", "0", "--dry-run"}).err,
              HasSubstr("would delete 1 run"));
  EXPECT_THAT(run({"runs", "gc", "--keep-bytes", "0"}).err, HasSubstr("deleted 1 run"));
  EXPECT_THAT(run({"runs"}).err, HasSubstr("no such runs"));
}

TEST_F(DurableProgram, WithoutAJournalItSaysSo) {
  dir.write("p.yaml", kGood);
  auto ran = run({"run", "p.yaml", "--no-journal"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("not recorded"));
  EXPECT_FALSE(std::filesystem::exists(dir.path() / "journal.db"));
  auto list = run({"runs"});
  EXPECT_EQ(list.exit_code, 3);
  EXPECT_THAT(list.err, HasSubstr("there is no journal at"));
  EXPECT_EQ(run({"resume", "last"}).exit_code, 3);
}

TEST_F(DurableProgram, BeforeTheFirstRunTheListIsEmpty) {
  ProgramInput input;
  input.directory = dir.path();
  input.environment = {{"SLUICE_JOURNAL", ""}, {"XDG_STATE_HOME", dir.path() / "state"}};
  auto list = run_program({"runs"}, input);
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_THAT(list.err, HasSubstr("no run was recorded yet"));
  EXPECT_EQ(list.out, "");
  EXPECT_FALSE(std::filesystem::exists(dir.path() / "state"));
  EXPECT_EQ(run_program({"runs", "--journal", "none.db"}, input).exit_code, 3);
  EXPECT_EQ(run_program({"resume", "last"}, input).exit_code, 3);
}

TEST_F(DurableProgram, AJournalThatCannotBeOpenedOffersToDoWithout) {
  dir.write("p.yaml", kGood);
  dir.write("not-a-journal", "hello, I am text and long enough to be something else entirely");
  auto ran = run({"run", "p.yaml", "--journal", "not-a-journal"});
  EXPECT_NE(ran.exit_code, 0);
  EXPECT_THAT(ran.err, HasSubstr("--no-journal"));
  EXPECT_EQ(ran.out, "");
  ran = run({"run", "p.yaml", "--journal", "not-a-journal/x/journal.db"});
  EXPECT_NE(ran.exit_code, 0);
  EXPECT_THAT(ran.err, HasSubstr("--no-journal"));
}

TEST_F(DurableProgram, RunsThatAreNotThereAreNamed) {
  dir.write("p.yaml", kGood);
  ASSERT_EQ(run({"run", "p.yaml"}).exit_code, 0);
  for (const char* command : {"resume", "cancel", "replay"}) {
    auto ran = run({command, "zzzz"});
    EXPECT_EQ(ran.exit_code, 3) << command;
    EXPECT_THAT(ran.err, HasSubstr("RUN_UNKNOWN")) << command;
  }
  for (const char* command : {"show", "tail", "export"}) {
    EXPECT_EQ(run({"runs", command, "zzzz"}).exit_code, 3) << command;
  }
  EXPECT_EQ(run({"runs", "shwo"}).exit_code, 3);
}

TEST_F(DurableProgram, NoSecretIsInWhatARunLeaves) {
  dir.write("key.txt", "hush-hush-42\n");
  dir.write("p.yaml", R"(sluice: 1
tools:
  talk: {kind: process, stdout: text, effect: read, env: {KEY: {file: key.txt}},
    command: [sh, -c, 'echo "my key is $KEY" >&2; exit 1']}
  tell: {kind: process, stdout: text, effect: read, env: {KEY: {file: key.txt}},
    command: [sh, -c, 'echo "it is $KEY"']}
steps:
  told: {tool: tell}
  bad: {tool: talk, after: [told]}
)");
  EXPECT_EQ(run({"run", "p.yaml"}).exit_code, 1);
  for (std::vector<std::string> command : {std::vector<std::string>{"runs"},
                                           {"runs", "show", "last"},
                                           {"runs", "show", "last", "--json"},
                                           {"runs", "tail", "last", "--json"},
                                           {"runs", "export", "last"}}) {
    auto ran = run(command);
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_THAT(ran.out + ran.err, Not(HasSubstr("hush-hush-42"))) << command.back();
  }
  EXPECT_THAT(run({"runs", "show", "last"}).out, HasSubstr("my key is [secret]"));
}

TEST_F(DurableProgram, NoSecretOfAnErrorIsInTheJournalsBytes) {
  ProgramInput input;
  input.directory = dir.path();
  input.environment = {{"SLUICE_CACHE", dir.path() / "cache"},
                       {"SLUICE_JOURNAL", dir.path() / "journal.db"},
                       {"SHOP_KEY", "hush-hush-42"}};
  dir.write("p.yaml", R"(sluice: 1
tools:
  pay: {kind: process, stdout: text, effect: once, env: {KEY: {env: SHOP_KEY}},
    probe: {tool: ask}, command: [sh, -c, 'echo "refused: $KEY" >&2; exit 1']}
  die: {kind: process, stdout: text, effect: once, env: {KEY: {env: SHOP_KEY}},
    probe: {tool: ask}, command: [sh, -c, 'echo "dies: $KEY" >&2; kill -9 $$']}
  ask: {kind: process, stdout: json, effect: read, env: {KEY: {env: SHOP_KEY}},
    command: [sh, -c, 'echo "cannot tell: $KEY" >&2; exit 1']}
steps:
  a: {tool: pay, on_error: {value: none}}
  b: {tool: die}
)");
  EXPECT_EQ(run_program({"run", "p.yaml"}, input).exit_code, 4);
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    if (!entry.path().filename().string().starts_with("journal.db")) continue;
    std::ostringstream bytes;
    bytes << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    EXPECT_EQ(bytes.str().find("hush-hush-42"), std::string::npos) << entry.path();
  }
  // Also for who does not have the key.
  input.environment["SHOP_KEY"] = "";
  std::string all;
  for (std::vector<std::string> command : {std::vector<std::string>{"runs"},
                                           {"runs", "show", "last"},
                                           {"runs", "tail", "last", "--json"},
                                           {"runs", "export", "last"}}) {
    auto ran = run_program(command, input);
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_THAT(ran.out + ran.err, Not(HasSubstr("hush-hush-42"))) << command.back();
    all += ran.out;
  }
  EXPECT_THAT(all, HasSubstr("[secret]"));
}

// The lines of a help text that tell of an option, with those that go on below it.
std::string option_lines(const std::string& help, const std::string& option) {
  std::istringstream in(help);
  std::string found;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    const std::string words = line.substr(std::min(line.size(), line.find_first_not_of(' ')));
    const bool begins = line.starts_with("  -");
    if (begins) inside = words.starts_with(option + " ") || words.contains("," + option + " ");
    if (inside && !begins && !line.starts_with("      ")) inside = false;
    if (inside) found += words.substr(words.starts_with("-") ? words.find("--") : 0) + "\n";
  }
  return found;
}

// The words under "Subcommands:" of a help text.
std::vector<std::string> subcommands(const std::string& help) {
  std::vector<std::string> names;
  std::istringstream in(help.substr(std::min(help.size(), help.find("Subcommands:"))));
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line) && line.starts_with("  ")) {
    if (line[2] != ' ') names.push_back(line.substr(2, line.find(' ', 2) - 2));
  }
  return names;
}

// Whatever a command does with a run: it finds it and opens what it needs in the same way.
TEST_F(DurableProgram, EveryCommandAboutRunsTakesTheSameOptions) {
  const std::set<std::string> others{"check", "explain", "quality", "tools",     "models",
                                     "init",  "serve",   "version", "completion"};
  std::vector<std::vector<std::string>> commands;
  for (const std::string& name : subcommands(run({"--help"}).out)) {
    if (!others.contains(name)) commands.push_back({name});
  }
  for (const std::string& name : subcommands(run({"runs", "--help"}).out)) {
    commands.push_back({"runs", name});
  }
  ASSERT_GE(commands.size(), 14u);
  const std::string usual = run({"run", "--help"}).out;
  ASSERT_THAT(option_lines(usual, "--journal"), HasSubstr("SLUICE_JOURNAL"));
  const std::set<std::string> perform{"run", "resume", "fork", "cancel"};
  for (std::vector<std::string> command : commands) {
    SCOPED_TRACE(command.back());
    const bool performs = command.size() == 1 && perform.contains(command.front());
    command.push_back("--help");
    const std::string help = run(command).out;
    EXPECT_EQ(option_lines(help, "--journal"), option_lines(usual, "--journal"));
    if (!performs) continue;
    for (const char* option : {"--model", "--model-name", "--dir", "--workers", "--memory",
                               "--output", "--json", "--quiet"}) {
      ASSERT_NE(option_lines(usual, option), "") << option;
      EXPECT_EQ(option_lines(help, option), option_lines(usual, option)) << option;
    }
  }
}

TEST_F(DurableProgram, TheJournalMayBeNamedBeforeOrBehindASubcommand) {
  dir.write("p.yaml", kGood);
  ASSERT_EQ(run({"run", "p.yaml", "--journal", "other.db"}).exit_code, 0);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"runs", "show", "last", "--journal", "other.db"},
        {"runs", "--journal", "other.db", "show", "last"},
        {"runs", "--journal", "other.db", "export", "last"},
        {"runs", "--journal", "none.db", "show", "last", "--journal", "other.db"}}) {
    auto shown = run(command);
    EXPECT_EQ(shown.exit_code, 0) << shown.err;
  }
  EXPECT_EQ(run({"runs", "show", "last"}).exit_code, 3);
}

// What undoes a step may need the folder and the model as much as the step did.
TEST_F(DurableProgram, CancelFindsAFolderThatWasMoved) {
  std::filesystem::create_directory(dir.path() / "here");
  dir.write("here/p.yaml", R"(sluice: 1
undo: true
tools:
  note: {kind: process, stdout: text, effect: once, undo: {tool: back},
    command: [sh, -c, "echo in >> ledger"]}
  back: {kind: process, stdout: text, effect: once, command: [sh, -c, "echo out >> ledger"]}
steps:
  first: {tool: note, with: {}}
  ask: {after: [first], wait: {signal: go}}
)");
  ASSERT_EQ(run({"run", "here/p.yaml"}, 700).exit_code, 130);
  std::filesystem::rename(dir.path() / "here", dir.path() / "there");
  auto cancelled = run({"cancel", "last", "wrong month", "--dir", "there"});
  EXPECT_EQ(cancelled.exit_code, 0) << cancelled.err;
  std::ostringstream text;
  text << std::ifstream(dir.path() / "there" / "ledger").rdbuf();
  EXPECT_EQ(text.str(), "in\nout\n");
}

TEST_F(DurableProgram, EveryCommandTeachesByExample) {
  for (std::vector<std::string> command : {std::vector<std::string>{"resume"},
                                           {"runs"},
                                           {"runs", "show"},
                                           {"runs", "tail"},
                                           {"runs", "export"},
                                           {"runs", "check"},
                                           {"runs", "gc"},
                                           {"approve"},
                                           {"signal"},
                                           {"resolve"},
                                           {"cancel"},
                                           {"fork"},
                                           {"replay"}}) {
    command.push_back("--help");
    auto help = run(command);
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr("Examples:"));
    EXPECT_THAT(help.out, HasSubstr("sluice " + command[0]));
  }
}

}  // namespace
}  // namespace sluice::cli
