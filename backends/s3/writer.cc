#include "backends/s3/writer.h"

#include <utility>
#include <vector>

namespace tarn::s3 {
namespace {

constexpr size_t kMaxParts = 10'000;  // a rule of S3

struct Part {
  size_t index;
  Call call;
};

class S3Writer final : public BlobWriter {
 public:
  S3Writer(std::shared_ptr<Client> client, std::string key, WriterOptions options)
      : client_(std::move(client)),
        key_(std::move(key)),
        options_(std::move(options)),
        parts_(std::make_unique<CallQueue>(client_->caller())) {}

  ~S3Writer() override {
    parts_.reset();  // gives up what is in flight
    // What cannot be aborted now is for the next writer's Collect.
    if (!upload_id_.empty()) (void)client_->AbortUpload(key_, upload_id_);
  }

  Status Append(std::string_view bytes) override {
    TARN_TRY(state_);
    state_ = Take(bytes);
    return state_;
  }

  Status Finish() override {
    TARN_TRY(state_);
    state_ = Publish();
    const Status result = state_;
    if (state_.ok()) state_ = Status::Invalid(client_->ObjectName(key_) + " is finished: write to another blob");
    return result;
  }

 private:
  Status Take(std::string_view bytes) {
    while (!bytes.empty()) {
      // Only when more is to come: a blob of one part's size is one PUT.
      if (buffer_.size() == options_.part_bytes) TARN_TRY(SendPart());
      const std::string_view fits = bytes.substr(0, options_.part_bytes - buffer_.size());
      buffer_ += fits;
      size_ += fits.size();
      bytes.remove_prefix(fits.size());
    }
    return Status::Ok();
  }

  Status SendPart() {
    if (upload_id_.empty()) {
      attempt_id_ = client_->NewAttemptId();
      TARN_ASSIGN(upload_id_, client_->CreateUpload(key_, attempt_id_));
    }
    if (etags_.size() == kMaxParts) {
      return Status::Invalid(client_->ObjectName(key_) + " is longer than 10,000 parts of " +
                             std::to_string(options_.part_bytes) + " bytes: open the backend with larger parts");
    }
    while (flying_.size() >= options_.parallel_parts) TARN_TRY(TakeParts());
    auto part = std::make_unique<Part>();
    part->index = etags_.size();
    etags_.emplace_back();
    auto body = std::make_shared<const std::string>(std::exchange(buffer_, {}));
    buffer_.reserve(options_.part_bytes);
    part->call = Client::UploadPart(key_, upload_id_, static_cast<int>(etags_.size()), std::move(body));
    part->call.context = part.get();
    flying_.push_back(std::move(part));
    parts_->Start(&flying_.back()->call);
    return Status::Ok();
  }

  Status TakeParts() {
    for (Call* call : parts_->Wait()) {
      const auto* part = static_cast<Part*>(call->context);
      TARN_TRY(call->status);
      etags_[part->index] = UnquoteEtag(FindHeader(call->response.headers, "etag"));
      if (etags_[part->index].empty()) {
        return Status::Io("the server took a part of " + client_->ObjectName(key_) +
                          " and named no ETag: check that the endpoint speaks S3");
      }
      std::erase_if(flying_, [&](const std::unique_ptr<Part>& one) { return one.get() == part; });
    }
    return Status::Ok();
  }

  Status Publish() {
    if (upload_id_.empty()) {
      auto body = std::make_shared<const std::string>(std::move(buffer_));
      TARN_ASSIGN(const Created put, client_->PutIfAbsent(key_, std::move(body)));
      return Told(put);
    }
    TARN_TRY(SendPart());  // never empty: a part is sent only when more is to come
    while (!flying_.empty()) TARN_TRY(TakeParts());
    // Asked for servers that ignore the condition when an upload is completed.
    const Status there = client_->Head(key_).status();
    if (there.code() != Code::kNotFound) return there.ok() ? Exists() : there;
    TARN_ASSIGN(const Created created, client_->CompleteUpload(key_, upload_id_, attempt_id_, etags_));
    if (created.outcome == PutOutcome::kCreated) upload_id_.clear();
    return Told(created);
  }

  Status Told(const Created& created) {
    if (created.outcome == PutOutcome::kExists) return Exists();
    if (options_.published) options_.published(size_, created.etag);
    return Status::Ok();
  }
  Status Exists() const { return Status::Busy(client_->ObjectName(key_) + " exists: choose another name"); }

  const std::shared_ptr<Client> client_;
  const std::string key_;
  const WriterOptions options_;
  Status state_;        // the first error, or that it is finished
  std::string buffer_;  // the part that is being filled
  uint64_t size_ = 0;
  std::string upload_id_;  // of an upload that is to be completed or aborted
  std::string attempt_id_;
  std::vector<std::string> etags_;  // by part; "" while it is in flight
  std::vector<std::unique_ptr<Part>> flying_;
  std::unique_ptr<CallQueue> parts_;
};

}  // namespace

std::unique_ptr<BlobWriter> NewS3Writer(std::shared_ptr<Client> client, std::string key, WriterOptions options) {
  return std::make_unique<S3Writer>(std::move(client), std::move(key), std::move(options));
}

}  // namespace tarn::s3
