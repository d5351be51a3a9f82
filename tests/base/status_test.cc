#include "tarn/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <set>
#include <string>

namespace tarn {
namespace {

TEST(StatusTest, OkCarriesNothing) {
  const Status ok;
  EXPECT_TRUE(ok.ok());
  EXPECT_EQ(ok.code(), Code::kOk);
  EXPECT_EQ(ok.message(), "");
  EXPECT_EQ(ok.os_error(), 0);
  EXPECT_EQ(ok.ToString(), "ok");
  EXPECT_TRUE(ok.Annotate("context").ok());
  EXPECT_TRUE(Status(Code::kOk, "ignored").ok());
}

TEST(StatusTest, ErrorsKeepCodeMessageAndNumber) {
  const Status error(Code::kIo, "wal/1: write failed", EIO);
  EXPECT_FALSE(error.ok());
  EXPECT_EQ(error.ToString(), "i/o error: wal/1: write failed");
  const Status outer = error.Annotate("flush");
  EXPECT_EQ(outer.code(), Code::kIo);
  EXPECT_EQ(outer.os_error(), EIO);
  EXPECT_EQ(outer.message(), "flush: wal/1: write failed");
  EXPECT_EQ(error.message(), "wal/1: write failed");
}

TEST(StatusTest, EveryCodeHasItsOwnName) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Code::kIo); ++code) names.insert(CodeName(static_cast<Code>(code)));
  EXPECT_EQ(names.size(), static_cast<size_t>(Code::kIo) + 1);
  EXPECT_EQ(names.count("unknown"), 0u);
  EXPECT_EQ(CodeName(static_cast<Code>(200)), "unknown");
}

TEST(StatusTest, ErrnoBecomesTheCodeThatTellsTheCallerWhatToDo) {
  const struct {
    int error;
    Code code;
  } cases[] = {{ENOENT, Code::kNotFound},   {ENODATA, Code::kNotFound},       {ENOSPC, Code::kNoSpace},
               {EDQUOT, Code::kNoSpace},    {EAGAIN, Code::kUnavailable},     {ETIMEDOUT, Code::kUnavailable},
               {EBUSY, Code::kBusy},        {EOPNOTSUPP, Code::kUnsupported}, {ENOSYS, Code::kUnsupported},
               {EINVAL, Code::kInvalid},    {EEXIST, Code::kInvalid},         {ENOTDIR, Code::kInvalid},
               {ENOTEMPTY, Code::kInvalid}, {EACCES, Code::kInvalid},         {EIO, Code::kIo},
               {ENXIO, Code::kIo}};
  for (const auto& c : cases) {
    const Status status = Status::FromErrno(c.error, "x");
    EXPECT_EQ(status.code(), c.code) << c.error;
    EXPECT_EQ(status.os_error(), c.error);
  }
}

Result<std::unique_ptr<int>> Make(bool fail) {
  if (fail) return Status::Busy("held");
  return std::make_unique<int>(7);
}
Result<int> Use(bool fail_first, bool fail_second) {
  TARN_TRY(fail_first ? Status::Invalid("first") : Status::Ok());
  TARN_ASSIGN(const std::unique_ptr<int> made, Make(fail_second));
  return *made + 1;
}

TEST(ResultTest, MacrosLeaveWithTheFirstError) {
  EXPECT_EQ(Use(false, false).value(), 8);
  EXPECT_EQ(Use(true, true).status().code(), Code::kInvalid);
  EXPECT_EQ(Use(false, true).status().ToString(), "busy: held");
  EXPECT_TRUE(Use(false, false).status().ok());
}

}  // namespace
}  // namespace tarn
