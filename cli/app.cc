// How an argument list becomes an invocation:
//   1. the verb is looked up first, so that a mistyped one gets a suggestion instead of a parse error;
//   2. words that CLI11 would bend (operands named like a verb; in brackets, which it takes for lists; after "--")
//      are shielded by a leading \x01, which a transform on every value takes off again: an operand is the bytes the
//      user typed;
//   3. CLI11 parses options; what it does not know is explained with the nearest option.
#include "cli/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/edit_distance.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace tarn::cli {
namespace {

constexpr char kShield = '\x01';
constexpr const char* kOperands = "operands";

std::string Unshield(std::string word) {
  if (!word.empty() && word[0] == kShield) word.erase(0, 1);
  return word;
}

// `first`: where the operands may begin, behind the verb.
std::vector<std::string> Shield(const std::vector<std::string>& args, size_t first) {
  std::vector<std::string> out;
  bool operands_only = false;
  for (size_t i = 0; i < args.size(); ++i) {
    if (!operands_only && args[i] == "--") {
      operands_only = true;
      continue;
    }
    const bool bends = operands_only || (i >= first && !args[i].starts_with('-'));
    out.push_back(bends ? kShield + args[i] : args[i]);
  }
  return out;
}

std::string FirstWord(const std::string& text) { return text.substr(0, text.find(' ')); }

// "-r,--recursive" and "LABEL" as "-r, --recursive LABEL".
std::string OptionColumn(const Verb::OptionText& option) {
  std::string out;
  for (const char c : option.names) {
    out += c;
    if (c == ',') out += ' ';
  }
  if (!out.starts_with("--") && out.find("--") == std::string::npos && option.label.empty()) return out;
  return option.label.empty() ? out : out + " " + option.label;
}

std::vector<std::string> NamesOf(const std::string& names) {
  std::vector<std::string> out;
  for (size_t at = 0; at < names.size();) {
    const size_t end = std::min(names.find(',', at), names.size());
    out.push_back(names.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

const std::vector<Verb::OptionText>& CommonOptions() {
  static const auto* const kOptions = new std::vector<Verb::OptionText>{
      {"--lake", "URL", "the lake: a path, file:// or s3:// URL (default: $TARN_LAKE)"},
      {"-q,--quiet", "", "no progress and no closing remarks"},
      {"--cost", "", "tell at the end what the requests to a bucket were and cost"},
      {"--help", "", "this text"}};
  return *kOptions;
}

void AppendOptions(std::string* out, const std::vector<Verb::OptionText>& options) {
  for (const auto& option : options) *out += fmt::format("  {:<26} {}\n", OptionColumn(option), option.help);
}

}  // namespace

const char kVersion[] = TARN_VERSION;

std::string Nearest(const std::string& word, const std::vector<std::string>& words) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, std::min<size_t>(3, word.size() / 2)) + 1;
  for (const std::string& candidate : words) {
    // A word cut short ("snap", "--rec") is as good as one wrong letter.
    const bool cut = word.size() >= 3 && candidate.starts_with(word);
    const size_t distance = std::min(EditDistance(word, candidate), cut ? size_t{1} : SIZE_MAX);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

void Verb::Note(const std::string& names, const std::string& label, const std::string& help) {
  options_.push_back({names, label, help});
}
Verb& Verb::Flag(const std::string& names, bool* value, const std::string& help) {
  app_->add_flag(names, *value)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  Note(names, "", help);
  return *this;
}
Verb& Verb::Option(const std::string& names, std::string* value, const std::string& label, const std::string& help) {
  app_->add_option(names, *value)->transform(Unshield);
  Note(names, label, help);
  return *this;
}
Verb& Verb::Number(const std::string& names, uint64_t* value, const std::string& label, const std::string& help) {
  app_->add_option(names, *value)->transform(Unshield);
  Note(names, label, help);
  return *this;
}

CommandLine::CommandLine() : app_(std::make_unique<CLI::App>()), operands_(std::make_unique<Operands>()) {
  app_->name("tarn");
  app_->set_help_flag("");
  app_->allow_extras();
  app_->add_option("--lake", location_)->transform(Unshield);
  app_->add_flag("-q,--quiet", quiet_);
  app_->add_flag("--cost", cost_);
  app_->add_flag("--help", help_);
  app_->add_flag("--version", version_);
  AddLakeVerbs(*this);
  AddRepairVerb(*this);
  AddTransferVerbs(*this);
  AddWarmVerb(*this);
  AddReadVerbs(*this);
  AddTreeVerbs(*this);
  AddChangeVerbs(*this);
  AddHistoryVerbs(*this);
  AddBackupVerbs(*this);
  AddMountVerbs(*this);
  AddBenchVerb(*this);
  AddDoctorVerb(*this);
  AddStoreVerbs(*this);
  AddStoreBackupVerb(*this);
  AddDumpVerb(*this);
  AddCompletionVerb(*this);
}

CommandLine::~CommandLine() = default;

CLI::App* CommandLine::Family(const std::string& name, const std::string& group) {
  if (name.empty()) return app_.get();
  if (IsFamily(name) || FindVerb(name) != nullptr) return app_->get_subcommand(name);
  CLI::App* family = app_->add_subcommand(name)->group(group)->fallthrough()->allow_extras();
  return family;
}

Verb& CommandLine::Add(VerbSpec spec, VerbRun run) {
  const size_t space = spec.name.find(' ');
  CLI::App* parent = Family(space == std::string::npos ? "" : spec.name.substr(0, space), spec.group);
  const std::string last = space == std::string::npos ? spec.name : spec.name.substr(space + 1);
  CLI::App* sub = parent->add_subcommand(last)->group(spec.group)->fallthrough()->allow_extras();
  sub->add_option(kOperands, *operands_)->transform(Unshield);
  verbs_.push_back(std::make_unique<Verb>(sub, spec));
  sub->callback([this, sub, spec, run] {
    if (!sub->get_subcommands().empty()) return;  // "backup list": the verb of the family is meant
    const size_t count = operands_->size();
    if (count < spec.min_operands) {
      operand_error_ = fmt::format("{} missing; usage: tarn {} {}", spec.operands, spec.name, spec.operands);
    } else if (count > spec.max_operands) {
      operand_error_ = fmt::format("{}: one operand too many; usage: tarn {} {}",
                                   Escape((*operands_)[spec.max_operands]), spec.name, spec.operands);
    }
    chosen_ = Invocation{
        spec.name, spec.needs, location_,
        quiet_,    cost_,      [run, operands = *operands_](Context& context) { return run(context, operands); }};
  });
  return *verbs_.back();
}

const Verb* CommandLine::FindVerb(const std::string& name) const {
  for (const auto& verb : verbs_) {
    if (verb->spec().name == name) return verb.get();
  }
  return nullptr;
}

bool CommandLine::IsFamily(const std::string& name) const {
  return std::any_of(verbs_.begin(), verbs_.end(),
                     [&](const auto& verb) { return verb->spec().name.starts_with(name + " "); });
}

std::string CommandLine::VerbIn(const std::vector<std::string>& args, size_t* behind, std::string* error) const {
  std::string family;
  *behind = args.size();
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--") break;
    if (args[i] == "--lake") {
      ++i;
      continue;
    }
    if (args[i].starts_with('-')) continue;
    const std::string name = family.empty() ? args[i] : family + " " + args[i];
    if (FindVerb(name) != nullptr) {
      *behind = i + 1;
      if (!family.empty() || !IsFamily(name)) return name;
      family = name;  // a verb, unless the next word makes it one of its family
      continue;
    }
    if (family.empty() && IsFamily(name)) {
      family = name;
      continue;
    }
    if (FindVerb(family) != nullptr) return family;
    std::vector<std::string> candidates;
    for (const auto& verb : verbs_) {
      const std::string& full = verb->spec().name;
      if (family.empty()) candidates.push_back(FirstWord(full));
      if (!family.empty() && full.starts_with(family + " ")) candidates.push_back(full.substr(family.size() + 1));
    }
    const std::string near = Nearest(args[i], candidates);
    *error =
        fmt::format("{}: no such verb; {}see: tarn {}--help", Escape(args[i]),
                    near.empty() ? "" : fmt::format("did you mean '{}'? ", near), family.empty() ? "" : family + " ");
    return family;
  }
  return family;
}

std::string CommandLine::ExplainExtra(const std::string& verb, const std::string& extra) const {
  const std::string flag = extra.substr(0, extra.find('='));
  std::vector<std::string> candidates;
  const auto add = [&](const std::vector<Verb::OptionText>& options) {
    for (const auto& option : options) {
      for (const auto& name : NamesOf(option.names)) {
        if (name.starts_with("--")) candidates.push_back(name);
      }
    }
  };
  add(CommonOptions());
  if (const Verb* known = FindVerb(verb)) add(known->options());
  const std::string near = flag.starts_with("--") ? Nearest(flag, candidates) : std::string();
  return fmt::format("{}: no such option; {}see: tarn {}{}--help", Escape(extra),
                     near.empty() ? "" : fmt::format("did you mean '{}'? ", near), verb, verb.empty() ? "" : " ");
}

Parsed CommandLine::Parse(const std::vector<std::string>& args_in) {
  Parsed parsed;
  std::vector<std::string> args = args_in;
  // "help VERB" reads like "VERB --help".
  if (!args.empty() && args[0] == "help") args[0] = "--help";
  if (!args.empty() && args[0] == "-h") args[0] = "--help";
  size_t behind;
  parsed.verb = VerbIn(args, &behind, &parsed.error);
  if (!parsed.error.empty()) return parsed;
  args = Shield(args, behind);
  try {
    std::reverse(args.begin(), args.end());  // what CLI11 wants of a vector
    app_->parse(args);
  } catch (const CLI::ParseError& error) {
    if (!help_) {
      parsed.error = fmt::format("{}; see: tarn {}{}--help", EscapeControls(error.what()), parsed.verb,
                                 parsed.verb.empty() ? "" : " ");
      return parsed;
    }
  }
  if (help_) {
    parsed.text = Help(parsed.verb);
    return parsed;
  }
  if (version_) {
    parsed.text = fmt::format("tarn {}\n", kVersion);
    return parsed;
  }
  const std::vector<std::string> extras = app_->remaining(true);
  if (!extras.empty()) {
    parsed.error = ExplainExtra(parsed.verb, extras.front());
  } else if (!operand_error_.empty()) {
    parsed.error = operand_error_;
  } else if (!chosen_.has_value()) {
    parsed.error = parsed.verb.empty() ? "which verb? see: tarn --help"
                                       : fmt::format("which one? see: tarn {} --help", parsed.verb);
  } else {
    chosen_->location = location_;
    chosen_->quiet = quiet_;
    chosen_->cost = cost_;
    parsed.invocation = std::move(chosen_);
  }
  return parsed;
}

std::string CommandLine::Help(const std::string& name) const {
  std::string out;
  if (const Verb* verb = FindVerb(name)) {
    const VerbSpec& spec = verb->spec();
    out += fmt::format("{}\n\nUsage: tarn [--lake URL] {} [OPTIONS]{}{}\n\n", spec.about, spec.name,
                       spec.operands.empty() ? "" : " ", spec.operands);
    if (!spec.notes.empty()) out += spec.notes + "\n";
    out += "Options:\n";
    AppendOptions(&out, verb->options());
    AppendOptions(&out, CommonOptions());
    out += "\nExamples:\n";
    for (size_t at = 0; at < spec.examples.size();) {
      const size_t end = std::min(spec.examples.find('\n', at), spec.examples.size());
      out += "  " + spec.examples.substr(at, end - at) + "\n";
      at = end + 1;
    }
    if (IsFamily(name)) out += "\nSee also:\n";
    for (const auto& other : verbs_) {
      if (!other->spec().name.starts_with(name + " ")) continue;
      out += fmt::format("  {:<18} {}\n", other->spec().name, other->spec().about);
    }
    return out;
  }
  out = name.empty() ? "Tarn: files with history in one store: import, mount, look back.\n\n"
                       "Usage: tarn [--lake URL] VERB [OPTIONS] ...\n"
                     : fmt::format("Usage: tarn [--lake URL] {} VERB [OPTIONS] ...\n", name);
  std::vector<std::pair<std::string, std::string>> groups;  // heading and lines, in the order they first appear
  for (const auto& verb : verbs_) {
    const VerbSpec& spec = verb->spec();
    if (!name.empty() && !spec.name.starts_with(name + " ")) continue;
    auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == spec.group; });
    if (group == groups.end()) group = groups.insert(group, {spec.group, ""});
    group->second += fmt::format("  {:<18} {}\n", spec.name, spec.about);
  }
  for (const auto& [heading, lines] : groups) out += fmt::format("\n{}:\n{}", heading, lines);
  out += "\nEvery verb has its own page with examples: tarn VERB --help\n";
  if (!name.empty()) return out;
  return out +
         "\nThe lake is a directory or in a bucket: --lake PATH, --lake s3://BUCKET/PREFIX, or $TARN_LAKE.\n"
         "Paths inside it are absolute: /data/x.\n"
         "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 in use, 5 corruption, 6 no space,\n"
         "            130 interrupted\n"
         "\nFirst steps:\n"
         "  export TARN_LAKE=~/lake\n"
         "  tarn init\n"
         "  tarn import photos /photos\n"
         "  tarn snapshot create monday\n"
         "  tarn mount /mnt/lake\n";
}

}  // namespace tarn::cli
