#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>

#include "tests/tools/tool_bench.h"
#include "tools/files/glob.h"

namespace sluice::test {
namespace {

void write_gzip(const std::filesystem::path& path, const std::string& text) {
  gzFile file = gzopen(path.c_str(), "ab");  // a second call appends a second member
  ASSERT_NE(file, nullptr);
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
}

class FilesTool : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"root/a.txt", "root/b.md", "root/.hidden", "root/d/one.txt",
                             "root/d/two.md", "root/d/e/deep.txt", "root/d.x/z.txt",
                             "root/.git/config.txt", "root/[x].txt", "root/ä.txt"}) {
      bench.write_file(name, "text\n");
    }
    bench.write_file("secret.txt", "secret");
    auto root = bench.folder / "root";
    std::filesystem::create_symlink("../secret.txt", root / "out.txt");
    std::filesystem::create_symlink("..", root / "up");
    std::filesystem::create_symlink("a.txt", root / "in.txt");
    std::filesystem::create_directory_symlink("d", root / "linked");
    std::filesystem::create_directory_symlink(".", root / "d/loop");
    ASSERT_EQ(mkfifo((root / "pipe").c_str(), 0600), 0);
    tool = bench.open("files", R"({"root": "root", "write": true})");
    ASSERT_TRUE(tool);
  }
  std::string glob(const std::string& pattern) {
    return shown(bench.call(
        *tool, ToolBench::make_call("glob", Value::object({{"pattern", Value::string(pattern)}}))));
  }
  std::string run(const char* function, const char* args) {
    return shown(bench.call(*tool, function, args));
  }

  ToolBench bench;
  std::unique_ptr<Tool> tool;
};

TEST_F(FilesTool, Globs) {
  EXPECT_EQ(glob("*.txt"), R"(["[x].txt","a.txt","in.txt","ä.txt"])");
  EXPECT_EQ(glob("a.txt"), R"(["a.txt"])");
  EXPECT_EQ(glob("./a.txt"), R"(["a.txt"])");
  EXPECT_EQ(glob("?.md"), R"(["b.md"])");
  EXPECT_EQ(glob("?.txt"), R"(["a.txt","ä.txt"])");
  EXPECT_EQ(glob("[ab].*"), R"(["a.txt","b.md"])");
  EXPECT_EQ(glob("[!a].txt"), R"(["ä.txt"])");
  EXPECT_EQ(glob("\\[x].txt"), R"(["[x].txt"])");
  EXPECT_EQ(glob("*/*.txt"), R"(["d.x/z.txt","d/one.txt","linked/one.txt"])");
  EXPECT_EQ(glob("d/*/deep.txt"), R"(["d/e/deep.txt"])");
  EXPECT_EQ(glob("**/*.md"), R"(["b.md","d/two.md"])");
  EXPECT_EQ(glob("**/deep.txt"), R"(["d/e/deep.txt"])");
  EXPECT_EQ(glob("d/**"), R"(["d/e/deep.txt","d/one.txt","d/two.md"])");
  EXPECT_EQ(glob("**/e/**/*.txt"), R"(["d/e/deep.txt"])");
  EXPECT_EQ(glob(".*"), R"([".hidden"])");
  EXPECT_EQ(glob("none*"), "[]");
  EXPECT_EQ(glob("no/such/*"), "[]");
  EXPECT_EQ(glob("up/*"), "[]") << "a link that leads out is not followed";
  EXPECT_EQ(glob("*pipe*"), "[]") << "only regular files";
  EXPECT_EQ(glob("../*"), "FILE_DENIED");
  EXPECT_EQ(glob("/etc/*"), "FILE_DENIED");
  EXPECT_EQ(glob("d/"), "ARG_INVALID");
  EXPECT_EQ(run("glob", R"({"pattern": "**/*.txt", "limit": 2})"), R"(["[x].txt","a.txt"])");
}

TEST_F(FilesTool, ReadsAndRefuses) {
  EXPECT_EQ(run("read", R"({"path": "d/one.txt"})"), R"("text\n")");
  EXPECT_EQ(run("read", R"({"path": "in.txt"})"), R"("text\n")");
  EXPECT_EQ(run("read", R"({"path": "linked/one.txt"})"), R"("text\n")");
  EXPECT_EQ(run("read", R"({"path": "out.txt"})"), "FILE_DENIED");
  EXPECT_EQ(run("read", R"({"path": "up/secret.txt"})"), "FILE_DENIED");
  EXPECT_EQ(run("read", R"({"path": "../secret.txt"})"), "FILE_DENIED");
  EXPECT_EQ(run("read", R"({"path": "d/../../secret.txt"})"), "FILE_DENIED");
  EXPECT_EQ(run("read", R"({"path": "/etc/passwd"})"), "FILE_DENIED");
  EXPECT_EQ(run("read", R"({"path": "a.txt\u0000b"})"), "ARG_INVALID");
  EXPECT_EQ(run("read", R"({"path": "d"})"), "FILE_DENIED");
  EXPECT_EQ(run("read", R"({"path": "pipe"})"), "FILE_DENIED");
  EXPECT_EQ(run("read", R"({"path": "d/none"})"), "FILE_MISSING");
  EXPECT_EQ(run("read", R"({"path": "a.txt/x"})"), "FILE_MISSING");
}

TEST_F(FilesTool, TextEncodingsAndHeads) {
  bench.write_file("root/latin.txt", "caf\xE9");
  bench.write_file("root/utf.txt", "aä€");
  EXPECT_EQ(run("read", R"({"path": "latin.txt"})"), "UTF8_INVALID");
  EXPECT_EQ(run("read", R"({"path": "latin.txt", "encoding": "latin-1"})"), "\"café\"");
  EXPECT_EQ(run("read", R"({"path": "utf.txt", "max_bytes": 1})"), "\"a\"");
  EXPECT_EQ(run("read", R"({"path": "utf.txt", "max_bytes": 2})"), "\"a\"");
  EXPECT_EQ(run("read", R"({"path": "utf.txt", "max_bytes": 3})"), "\"aä\"");
  EXPECT_EQ(run("read", R"({"path": "utf.txt", "max_bytes": 100})"), "\"aä€\"");
  auto blob = bench.call(*tool, "read", R"({"path": "latin.txt", "as": "blob"})");
  ASSERT_TRUE(blob);
  EXPECT_EQ(blob->output.blob_bytes(), "caf\xE9");
}

TEST_F(FilesTool, UnpacksGzip) {
  auto root = bench.folder / "root";
  write_gzip(root / "x.gz", "first ");
  write_gzip(root / "x.gz", "second");
  EXPECT_EQ(run("read", R"({"path": "x.gz"})"), R"("first second")");
  EXPECT_EQ(run("read", R"({"path": "x.gz", "max_bytes": 3})"), R"("fir")");
  EXPECT_EQ(run("read", R"({"path": "x.gz", "gz": false})"), "UTF8_INVALID");
  EXPECT_EQ(run("read", R"({"path": "a.txt", "gz": true})"), "TOOL_OUTPUT");
  std::filesystem::resize_file(root / "x.gz", std::filesystem::file_size(root / "x.gz") - 4);
  EXPECT_EQ(run("read", R"({"path": "x.gz"})"), "TOOL_OUTPUT") << "cut in the middle";
  bench.write_file("root/empty.gz", "");
  EXPECT_EQ(run("read", R"({"path": "empty.gz"})"), "TOOL_OUTPUT");
  // A bomb: 100 MB in 100 kB. The limit counts what comes out.
  write_gzip(root / "bomb.gz", std::string(100 << 20, '0'));
  EXPECT_EQ(run("read", R"({"path": "bomb.gz"})"), "TOOL_TOO_LARGE");
}

TEST_F(FilesTool, WritesAsAWhole) {
  EXPECT_EQ(run("write", R"({"path": "new/deep/x.md", "text": "# ä"})"),
            R"({"path":"new/deep/x.md","bytes":4})");
  EXPECT_EQ(run("read", R"({"path": "new/deep/x.md"})"), "\"# ä\"");
  EXPECT_EQ(run("write", R"({"path": "new/deep/x.md", "text": {"a": 1}})"),
            R"({"path":"new/deep/x.md","bytes":7})");
  EXPECT_EQ(run("read", R"({"path": "new/deep/x.md"})"), R"("{\"a\":1}")");
  EXPECT_EQ(glob("new/**"), R"(["new/deep/x.md"])") << "no temporary file is left";
  EXPECT_EQ(glob("new/deep/.*"), "[]") << "no temporary file is left";
  EXPECT_EQ(run("write", R"({"path": "../x", "text": ""})"), "FILE_DENIED");
  EXPECT_EQ(run("write", R"({"path": "up/x", "text": ""})"), "FILE_DENIED");
  EXPECT_EQ(run("write", R"({"path": "up/new/x", "text": ""})"), "FILE_DENIED");
  EXPECT_EQ(run("write", R"({"path": "/x", "text": ""})"), "FILE_DENIED");
  EXPECT_EQ(run("write", R"({"path": "d", "text": ""})"), "FILE_DENIED");
  EXPECT_EQ(run("write", R"({"path": "d/", "text": ""})"), "FILE_DENIED");
  EXPECT_EQ(run("write", R"({"path": "out.txt", "text": "mine"})"),
            R"({"path":"out.txt","bytes":4})");
  std::ifstream secret(bench.folder / "secret.txt");
  std::string text;
  secret >> text;
  EXPECT_EQ(text, "secret") << "the link was replaced, what it led to is untouched";
  std::string long_name(300, 'x');
  auto result = bench.call(
      *tool, ToolBench::make_call("write", Value::object({{"path", Value::string(long_name)},
                                                          {"text", Value::string("")}})));
  EXPECT_EQ(shown(result), "ARG_INVALID") << words(result);
}

TEST_F(FilesTool, KeepsTheModeOfWhatItReplaces) {
  auto path = bench.folder / "root/a.txt";
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  EXPECT_EQ(run("write", R"({"path": "a.txt", "text": "new"})"), R"({"path":"a.txt","bytes":3})");
  struct stat status{};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
}

TEST_F(FilesTool, ReadOnlyUnlessToldOtherwise) {
  auto reader = bench.open("files", R"({"root": "root"})");
  auto result = bench.call(*reader, "write", R"({"path": "x", "text": ""})");
  EXPECT_EQ(shown(result), "FILE_DENIED");
  EXPECT_NE(words(result).find("write: true"), std::string::npos);
  auto missing = open_tool("t", "files", json(R"({"root": "nowhere"})"), bench.environment());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().name(), "TOOL_START");
}

TEST(Glob, MatchesNames) {
  struct Row {
    const char* pattern;
    const char* name;
    bool matches;
  };
  for (const Row& row :
       {Row{"*", "abc", true},     Row{"*", ".abc", false},    Row{".*", ".abc", true},
        Row{"a*c", "abbbc", true}, Row{"a*c", "abbbd", false}, Row{"*a*b*", "xaxbx", true},
        Row{"", "", true},         Row{"", "a", false},        Row{"?", "ä", true},
        Row{"??", "ä", false},     Row{"[a-c]x", "bx", true},  Row{"[a-c]x", "dx", false},
        Row{"[]]", "]", true},     Row{"[!]]", "]", false},    Row{"[a", "[a", true},
        Row{"[ä-ö]", "ö", true},   Row{"[a-]", "-", true},     Row{"\\*", "*", true},
        Row{"\\*", "a", false},    Row{"a\\", "a\\", true},    Row{"**", "abc", true},
        Row{"[", "[", true}}) {
    EXPECT_EQ(glob_matches(row.pattern, row.name), row.matches) << row.pattern << " " << row.name;
  }
  // What makes naive matchers exponential.
  std::string pattern;
  for (int i = 0; i < 30; ++i) pattern += "a*";
  EXPECT_FALSE(glob_matches(pattern + "b", std::string(200, 'a')));
}

}  // namespace
}  // namespace sluice::test
