#include "cli/run.h"

#include <sys/ioctl.h>

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
  return Conclude(context, parsed.verb, parsed.invocation->run(context));
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
