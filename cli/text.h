// Text: how names, sizes, times and modes look to people, to shells and in JSON. Pure functions.
//
// Names in a lake are bytes. In plain text they are escaped the way `ls -b` does it (\n, \t, \\, \ooo for control
// bytes and for bytes that are no UTF-8), so one name is always on one line. In JSON a name that is valid UTF-8 is
// itself; any other is escaped, and a second member "<key>_hex" carries its bytes.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "lake/lake.h"

namespace tarn::cli {

using Json = nlohmann::ordered_json;
class Output;

bool ValidUtf8(std::string_view bytes);
std::string Escape(std::string_view bytes);           // as ls -b, blanks left alone
std::string EscapeControls(std::string_view bytes);   // the same, backslashes left alone: for finished messages
Result<std::string> Unescape(std::string_view text);  // \xNN \ooo \n \t \r \\ and bytes as they are
std::string ShellQuote(std::string_view word);

std::string HumanBytes(uint64_t bytes);                                       // "1.5 MiB": for sentences
std::string ShortBytes(uint64_t bytes);                                       // "1.5M": for columns
std::string Grouped(uint64_t number);                                         // "12,345"
std::string ModeString(uint32_t mode);                                        // "drwxr-xr-x"
std::string_view TypeName(uint32_t mode);                                     // "regular file", "directory", ...
std::string TimeText(int64_t ns);                                             // "2026-01-02 03:04:05Z", always UTC
std::string TimeNanos(int64_t ns);                                            // "2026-01-02T03:04:05.000000006Z"
std::string Plural(uint64_t n, std::string_view one, std::string_view many);  // "1 file", "2 files"

void SetName(Json* object, const char* key, std::string_view bytes);
Json AttrJson(const lake::Attr& attr);
std::string Dump(const Json& value);  // one line, without the newline

// A JSON array that is written as it grows, one element a line.
class JsonArray {
 public:
  explicit JsonArray(Output& out) : out_(out) {}
  void Add(const Json& value);
  void Finish();

 private:
  Output& out_;
  bool any_ = false;
};

}  // namespace tarn::cli
