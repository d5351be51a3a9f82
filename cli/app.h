// The command line: which verbs there are, what they accept, and what a given argument list asks for. app.cc is the
// one file that includes CLI11; verb files describe themselves through VerbSpec and Verb.
//
// The same list of verbs is built in the client and in the process that serves a lake, so that both understand an
// argument list alike. Building and parsing touch nothing outside (no environment, no files).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"

namespace CLI {
class App;
}

namespace tarn::cli {

using Operands = std::vector<std::string>;  // what is neither a verb nor an option
using VerbRun = std::function<Status(Context&, const Operands&)>;

// kLake: runs on an open lake, in this process or in the one that serves it. kLakeToRead: the same, and changes
// nothing: opened here, the lake is not locked and not a byte is written. kNothing: opens what it needs.
enum class Needs : uint8_t { kNothing, kLakeToRead, kLake };

struct VerbSpec {
  std::string group;     // heading in the list of verbs
  std::string name;      // "ls"; "snapshot drop" for a verb of a family
  std::string about;     // one line
  std::string operands;  // "[PATH...]"
  size_t min_operands = 0, max_operands = 0;
  Needs needs = Needs::kNothing;
  std::string examples;    // lines "tarn ..."
  std::string notes = {};  // for its own page, before the options: what an option cannot say
};
inline constexpr size_t kMany = SIZE_MAX;

// One verb being described.
class Verb {
 public:
  Verb(CLI::App* app, const VerbSpec& spec) : app_(app), spec_(spec) {}
  Verb& Flag(const std::string& names, bool* value, const std::string& help);
  Verb& Option(const std::string& names, std::string* value, const std::string& label, const std::string& help);
  Verb& Number(const std::string& names, uint64_t* value, const std::string& label, const std::string& help);

  struct OptionText {
    std::string names, label, help;
  };
  const VerbSpec& spec() const { return spec_; }
  const std::vector<OptionText>& options() const { return options_; }

 private:
  void Note(const std::string& names, const std::string& label, const std::string& help);
  CLI::App* app_;
  VerbSpec spec_;
  std::vector<OptionText> options_;
};

struct Invocation {
  std::string verb;  // "snapshot drop"
  Needs needs = Needs::kNothing;
  std::string location;  // --lake, as given
  bool quiet = false;
  bool cost = false;  // tell what the requests were and cost
  std::function<Status(Context&)> run;
};

// Exactly one of: an invocation; text to print (help, version); a usage error.
struct Parsed {
  std::optional<Invocation> invocation;
  std::string text;
  std::string error;
  std::string verb;  // as far as it was recognised: for the error line
};

class CommandLine {
 public:
  CommandLine();  // with every verb of the program
  ~CommandLine();
  Verb& Add(VerbSpec spec, VerbRun run);
  // `args` without the program's name. Called once.
  Parsed Parse(const std::vector<std::string>& args);
  const std::vector<std::unique_ptr<Verb>>& verbs() const { return verbs_; }
  std::string Help(const std::string& verb) const;  // "" for the overview, "snapshot" for a family

 private:
  CLI::App* Family(const std::string& name, const std::string& group);
  const Verb* FindVerb(const std::string& name) const;
  bool IsFamily(const std::string& name) const;
  // The verb the arguments start with, and where they go on `behind` it; `error` is set when there is none of that
  // name.
  std::string VerbIn(const std::vector<std::string>& args, size_t* behind, std::string* error) const;
  std::string ExplainExtra(const std::string& verb, const std::string& extra) const;

  std::unique_ptr<CLI::App> app_;
  std::vector<std::unique_ptr<Verb>> verbs_;
  std::unique_ptr<Operands> operands_;
  std::string location_;
  bool quiet_ = false, cost_ = false, help_ = false, version_ = false;
  std::optional<Invocation> chosen_;
  std::string operand_error_;
};

// The nearest of `words` by edit distance, when it is near enough to be meant; else empty.
std::string Nearest(const std::string& word, const std::vector<std::string>& words);

extern const char kVersion[];

}  // namespace tarn::cli
