#include "cli/run.h"

#include <sys/ioctl.h>

#include "cli/spending.h"
#include "cli/text.h"

namespace tarn::cli {
namespace {

constexpr size_t kMaxCommandText = 4096;  // an import of ten thousand names need not fill the log

}  // namespace

int RunParsed(Context& context, const Parsed& parsed) {
  if (!parsed.error.empty()) {
    context.err.Print("tarn{}{}: {}\n", parsed.verb.empty() ? "" : " ", parsed.verb, EscapeControls(parsed.error));
    return context.err.Flush().ok() ? kExitUsage : kExitFailed;
  }
  if (!parsed.invocation.has_value()) {
    context.out.Write(parsed.text);
    return Conclude(context, parsed.verb, Status());
  }
  context.quiet = parsed.invocation->quiet;
  // A process that serves a lake has spent before, and does so for others meanwhile: theirs is in it.
  const Spending before = context.served() ? SpentSoFar() : Spending();
  const int code = Conclude(context, parsed.verb, parsed.invocation->run(context));
  if (!parsed.invocation->cost) return code;
  context.err.Print("tarn {}: cost: {}{}\n", parsed.verb, SpendingText(before, SpentSoFar()),
                    context.served() ? ", by all who use the mount" : "");
  const Status told = context.err.Flush();
  return code == kExitOk && !told.ok() ? static_cast<int>(kExitFailed) : code;
}

std::string CommandText(const std::vector<std::string>& args) {
  std::string text = "tarn";
  for (const std::string& arg : args) {
    if (text.size() > kMaxCommandText) return text + " ...";
    text += " " + ShellQuote(EscapeControls(arg));
  }
  return text;
}

unsigned ColumnsOf(int fd) {
  struct winsize size = {};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace tarn::cli
