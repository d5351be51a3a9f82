// completion, version: about the program itself. The completion scripts are made from the verbs themselves, so they
// cannot fall behind.
#include <algorithm>
#include <set>

#include "cli/text.h"
#include "cli/verbs.h"

namespace tarn::cli {
namespace {

struct Words {
  std::vector<std::string> verbs;                             // first words
  std::vector<std::pair<std::string, std::string>> families;  // "kv" -> "get put ..."
  std::vector<std::pair<std::string, std::string>> options;   // "kv get" -> "--json ..."
  std::vector<std::pair<std::string, std::string>> abouts;    // first word -> about
};

std::string LongOptions(const Verb& verb) {
  std::string out;
  for (const auto& option : verb.options()) {
    const size_t at = option.names.find("--");
    if (at != std::string::npos) out += option.names.substr(at, option.names.find(',', at) - at) + " ";
  }
  return out + "--lake --quiet --cost --help";
}

Words Collect(const CommandLine& line) {
  Words words;
  std::set<std::string> seen;
  for (const auto& verb : line.verbs()) {
    const std::string& name = verb->spec().name;
    const std::string first = name.substr(0, name.find(' '));
    if (seen.insert(first).second) {
      words.verbs.push_back(first);
      words.abouts.emplace_back(first, verb->spec().about);
    }
    if (first != name) {
      auto family = std::find_if(words.families.begin(), words.families.end(),
                                 [&](const auto& known) { return known.first == first; });
      if (family == words.families.end()) family = words.families.insert(family, {first, ""});
      family->second += name.substr(first.size() + 1) + " ";
    }
    words.options.emplace_back(name, LongOptions(*verb));
  }
  return words;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

// The body that bash and (through bashcompinit) zsh share: verbs first, then options, else local files.
std::string BashFunction(const Words& words) {
  std::string out =
      "_tarn() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} verb= sub= i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case ${COMP_WORDS[i]} in\n"
      "      --lake) ((i++)) ;;\n"
      "      -*) ;;\n"
      "      *) if [[ -z $verb ]]; then verb=${COMP_WORDS[i]}; elif [[ -z $sub ]]; then sub=${COMP_WORDS[i]}; fi ;;\n"
      "    esac\n"
      "  done\n"
      "  local words=\n"
      "  if [[ -z $verb ]]; then\n";
  out += fmt::format("    words='{} --lake --quiet --cost --help --version'\n", Joined(words.verbs));
  for (const auto& [family, subs] : words.families) {
    out += fmt::format("  elif [[ $verb == {} && -z $sub ]]; then\n    words='{}'\n", family, subs);
  }
  out += "  elif [[ $cur == -* ]]; then\n    case \"$verb $sub\" in\n";
  for (const auto& [name, options] : words.options) {
    const bool family = name.find(' ') != std::string::npos;
    out += fmt::format("      '{}'{}) words='{}' ;;\n", family ? name : name + " ", family ? "" : "*", options);
  }
  return out +
         "    esac\n"
         "  fi\n"
         "  if [[ -n $words ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -f -- \"$cur\"))\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _tarn tarn\n";
}

std::string FishScript(const Words& words) {
  std::string out = fmt::format("set -l tarn_verbs {}\n", Joined(words.verbs));
  for (const auto& [verb, about] : words.abouts) {
    out += fmt::format("complete -c tarn -n \"not __fish_seen_subcommand_from $tarn_verbs\" -a {} -d '{}'\n", verb,
                       about);
  }
  for (const auto& [family, subs] : words.families) {
    out += fmt::format("complete -c tarn -n '__fish_seen_subcommand_from {}' -a '{}'\n", family, subs);
  }
  for (const auto& [name, options] : words.options) {
    for (size_t at = 0; at < options.size();) {
      const size_t end = std::min(options.find(' ', at), options.size());
      out += fmt::format("complete -c tarn -n '__fish_seen_subcommand_from {}' -l {}\n",
                         name.substr(name.rfind(' ') + 1), options.substr(at + 2, end - at - 2));
      at = end + 1;
    }
  }
  return out;
}

Status Completion(Context& context, const Operands& operands) {
  const Words words = Collect(CommandLine());
  if (operands[0] == "bash") {
    context.out.Write(BashFunction(words));
  } else if (operands[0] == "zsh") {
    context.out.Print("#compdef tarn\nautoload -Uz bashcompinit && bashcompinit\n{}", BashFunction(words));
  } else if (operands[0] == "fish") {
    context.out.Write(FishScript(words));
  } else {
    return Status::Invalid(fmt::format("{}: no such shell here; one of bash, zsh, fish", Escape(operands[0])));
  }
  return {};
}

Status Version(Context& context, bool json) {
  if (json) {
    Json object;
    object["version"] = std::string(kVersion);
    object["build"] = TARN_BUILD_TYPE;
    object["compiler"] = __VERSION__;
    context.out.Print("{}\n", Dump(object));
  } else {
    context.out.Print("tarn {} ({}, compiler {})\n", kVersion, TARN_BUILD_TYPE, __VERSION__);
  }
  return {};
}

}  // namespace

void AddCompletionVerb(CommandLine& line) {
  line.Add({"Program", "completion", "Print a completion script for a shell", "bash|zsh|fish", 1, 1, Needs::kNothing,
            "source <(tarn completion bash)\ntarn completion fish > ~/.config/fish/completions/tarn.fish"},
           [](Context& context, const Operands& operands) { return Completion(context, operands); });

  auto json = std::make_shared<bool>(false);
  line.Add({"Program", "version", "Which tarn this is", "", 0, 0, Needs::kNothing, "tarn version --json"},
           [json](Context& context, const Operands&) { return Version(context, *json); })
      .Flag("--json", json.get(), "one JSON object");
}

}  // namespace tarn::cli
