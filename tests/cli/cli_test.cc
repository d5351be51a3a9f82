// The parts of the program that are functions: text, command lines, edit distance.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/app.h"
#include "cli/paths.h"
#include "cli/spending.h"
#include "cli/text.h"

namespace tarn::cli {
namespace {

using ::testing::HasSubstr;

TEST(TextTest, EscapeKeepsNamesOnOneLine) {
  EXPECT_EQ(Escape("plain name"), "plain name");
  EXPECT_EQ(Escape("a\nb\tc\rd\\e"), "a\\nb\\tc\\rd\\\\e");
  EXPECT_EQ(Escape(std::string("\0\x1b\x7f", 3)), "\\000\\033\\177");
  EXPECT_EQ(Escape("\xff\xc3"), "\\377\\303");
  EXPECT_EQ(Escape("\xc2\x9b"), "\\302\\233");           // C1: a terminal would act on it
  EXPECT_EQ(Escape("\xed\xa0\x80"), "\\355\\240\\200");  // a surrogate is no UTF-8
  EXPECT_EQ(Escape("\xc0\xaf"), "\\300\\257");           // overlong
  EXPECT_EQ(Escape("ü€😀"), "ü€😀");
}

TEST(TextTest, UnescapeTakesBackEveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  auto back = Unescape(Escape(all));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, all);
  EXPECT_EQ(*Unescape("\\x41\\101"), "AA");
  for (const char* bad : {"\\", "\\x4", "\\xgg", "\\400", "\\08", "\\q"}) EXPECT_FALSE(Unescape(bad).ok()) << bad;
}

TEST(TextTest, JsonNames) {
  Json object;
  SetName(&object, "a", "line\nbreak");
  SetName(&object, "b", "\xff");
  EXPECT_EQ(Dump(object), R"({"a":"line\nbreak","b":"\\377","b_hex":"ff"})");
}

TEST(TextTest, Numbers) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(ShortBytes(999), "999");
  EXPECT_EQ(ShortBytes(10 << 10), "10K");
  EXPECT_EQ(ShortBytes(UINT64_MAX), "16E");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1234567), "1,234,567");
  EXPECT_EQ(Plural(1, "file", "files"), "1 file");
}

TEST(TextTest, ModesAndTimes) {
  EXPECT_EQ(ModeString(0100644), "-rw-r--r--");
  EXPECT_EQ(ModeString(0041777), "drwxrwxrwt");
  EXPECT_EQ(ModeString(0104755), "-rwsr-xr-x");
  EXPECT_EQ(ModeString(0102644), "-rw-r-Sr--");
  EXPECT_EQ(TimeText(0), "1970-01-01 00:00:00Z");
  EXPECT_EQ(TimeNanos(-1), "1969-12-31T23:59:59.999999999Z");
}

TEST(TextTest, ShellQuote) {
  EXPECT_EQ(ShellQuote("/a-b_c.d"), "/a-b_c.d");
  EXPECT_EQ(ShellQuote("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellQuote(""), "''");
}

TEST(PathTest, Parse) {
  EXPECT_EQ(ParseLakePath("/")->text(), "/");
  EXPECT_EQ(ParseLakePath("//a/./b//")->text(), "/a/b");
  EXPECT_TRUE(ParseLakePath("/a/")->trailing_slash);
  EXPECT_FALSE(ParseLakePath("//")->trailing_slash);
  for (const char* bad : {"", "a", "..", "/..", "/a/..", "/a/../b"}) {
    EXPECT_EQ(ParseLakePath(bad).status().code(), Code::kInvalid) << bad;
  }
}

TEST(NearestTest, TyposAndCutWords) {
  const std::vector<std::string> verbs = {"ls", "import", "export", "snapshot", "stat", "stats"};
  EXPECT_EQ(Nearest("lss", verbs), "ls");
  EXPECT_EQ(Nearest("improt", verbs), "import");
  EXPECT_EQ(Nearest("snap", verbs), "snapshot");
  EXPECT_EQ(Nearest("stats", verbs), "stats");
  EXPECT_EQ(Nearest("qqqqqq", verbs), "");
}

TEST(SpendingTest, MoneyShowsThreeFigures) {
  EXPECT_EQ(MoneyText(0), "0.00");
  EXPECT_EQ(MoneyText(1234.567), "1234.57");
  EXPECT_EQ(MoneyText(1), "1.00");
  EXPECT_EQ(MoneyText(0.0234), "0.0234");
  EXPECT_EQ(MoneyText(0.0000004), "0.000000400");
  EXPECT_EQ(MoneyText(1e-30), "0.000000000000");
}

TEST(SpendingTest, TellsWhatCameInBetween) {
  Spending before, after;
  EXPECT_EQ(SpendingText(before, after), "no bucket was used");
  after.any_bucket = true;
  EXPECT_EQ(SpendingText(before, after), "no requests; 0 B sent, 0 B received; 0.00 (requests 0.00, transfer 0.00)");
  before.stats.requests[0] = 1;  // GET
  after.stats.requests[0] = 4;
  after.stats.requests[2] = 1;  // PUT
  after.stats.retries = 2;
  after.stats.bytes_sent = 20;
  before.cost = {1, 1};
  after.cost = {1.5, 1.25};
  EXPECT_EQ(SpendingText(before, after),
            "3 GET, 1 PUT (2 retries); 20 B sent, 0 B received; 0.750 (requests 0.500, transfer 0.250)");
}

Parsed Parse(const std::vector<std::string>& args) { return CommandLine().Parse(args); }

TEST(CommandLineTest, FindsTheVerb) {
  const Parsed parsed = Parse({"--lake", "ls", "snapshot", "drop", "x", "-q"});
  ASSERT_TRUE(parsed.invocation.has_value()) << parsed.error;
  EXPECT_EQ(parsed.invocation->verb, "snapshot drop");
  EXPECT_EQ(parsed.invocation->location, "ls");
  EXPECT_EQ(parsed.invocation->needs, Needs::kLake);
  EXPECT_TRUE(parsed.invocation->quiet);
}

TEST(CommandLineTest, OperandsMayLookLikeVerbsOptionsAndLists) {
  for (const char* word : {"ls", "tree", "[a,b]", "", "\x01"}) {
    EXPECT_TRUE(Parse({"rm", word}).invocation.has_value()) << word;
    EXPECT_TRUE(Parse({"kv", "put", word, word}).invocation.has_value()) << word;
  }
  EXPECT_TRUE(Parse({"rm", "--", "-r", "--nonsense", "--"}).invocation.has_value());
}

TEST(CommandLineTest, ErrorsNameTheNextStep) {
  EXPECT_THAT(Parse({"rm", "--recursve", "/x"}).error, HasSubstr("'--recursive'"));
  EXPECT_THAT(Parse({"kv", "gt", "x"}).error, HasSubstr("'get'"));
  EXPECT_THAT(Parse({"cp", "/x"}).error, HasSubstr("usage: tarn cp SOURCE... DEST"));
  EXPECT_THAT(Parse({"log", "-n", "x"}).error, HasSubstr("tarn log --help"));
  EXPECT_THAT(Parse({}).error, HasSubstr("tarn --help"));
}

TEST(CommandLineTest, EveryVerbHasAPageWithExamples) {
  const CommandLine line;
  for (const auto& verb : line.verbs()) {
    const std::string help = line.Help(verb->spec().name);
    EXPECT_THAT(help, HasSubstr("Usage: tarn [--lake URL] " + verb->spec().name));
    EXPECT_THAT(help, HasSubstr("Examples:\n  "));
    EXPECT_FALSE(verb->spec().about.empty());
  }
}

}  // namespace
}  // namespace tarn::cli
