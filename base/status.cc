#include "tarn/status.h"

#include <cerrno>

namespace tarn {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kNotFound: return "not found";
    case Code::kCorruption: return "corruption";
    case Code::kUnavailable: return "unavailable";
    case Code::kBusy: return "busy";
    case Code::kFenced: return "fenced";
    case Code::kNoSpace: return "no space";
    case Code::kInvalid: return "invalid";
    case Code::kUnsupported: return "unsupported";
    case Code::kIo: return "i/o error";
  }
  return "unknown";
}

Status Status::FromErrno(int error, std::string message) {
  Code code = Code::kIo;
  switch (error) {
    case ENOENT:
    case ENODATA: code = Code::kNotFound; break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: code = Code::kNoSpace; break;
    case EAGAIN:
    case ETIMEDOUT:
    case EINTR: code = Code::kUnavailable; break;
    case EBUSY:
    case ETXTBSY: code = Code::kBusy; break;
    case EOPNOTSUPP:
    case ENOSYS: code = Code::kUnsupported; break;
    case EINVAL:
    case EEXIST:
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case EACCES:
    case EPERM:
    case EROFS:
    case ENAMETOOLONG:
    case EXDEV:
    case ELOOP:
    case EMLINK:
    case EBADF:
    case ERANGE:
    case E2BIG:
    case EOVERFLOW: code = Code::kInvalid; break;
    default: break;
  }
  return {code, std::move(message), error};
}

std::string Status::ToString() const {
  if (ok()) return "ok";
  std::string text(CodeName(rep_->code));
  text += ": ";
  text += rep_->message;
  return text;
}

Status Status::Annotate(std::string_view context) const {
  if (ok()) return *this;
  return {rep_->code, std::string(context) + ": " + rep_->message, rep_->os_error};
}

}  // namespace tarn
