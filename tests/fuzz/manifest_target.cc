// The manifest: section i of the input is record i + 1 (mutations are resealed). Each record decodes to an error or
// to a value that encodes to the same bytes; what the records add up to can be published as a full record and read
// back.
#include <vector>

#include "format/manifest_record.h"
#include "kernel/manifest.h"
#include "tests/fuzz/reseal.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/targets.h"
#include "tests/support/mem_backend.h"

namespace tarn::fuzz {
namespace {

constexpr size_t kMostRecords = 8;

void CheckError(const Status& status) {
  MUST(status.code() == Code::kCorruption || status.code() == Code::kUnsupported || status.code() == Code::kNotFound,
       status.ToString());
}

void CheckRecord(std::string_view bytes, uint64_t number) {
  const Result<ManifestRecord> record = DecodeManifestRecord(bytes, number);
  if (!record.ok()) return CheckError(record.status());
  const std::string again = EncodeManifestRecord(*record);
  MUST(again.size() <= bytes.size(), "the encoder needs more bytes than the decoder took");
  MUST(again.size() < bytes.size() || again == bytes, "encode(decode(x)) is not x");
  const Result<ManifestRecord> twice = DecodeManifestRecord(again, number);
  MUST(twice.ok() && EncodeManifestRecord(*twice) == again, "an encoded record does not read back");
}

// The state as the bytes of one full record.
std::string Sum(const kernel::ManifestState& state) { return EncodeManifestRecord(state.Full(state.last().number)); }

}  // namespace

void RunManifest(std::string_view input) {
  const std::vector<std::string> sections = SplitSections(input, kMostRecords);
  test::MemBackend backend;
  for (size_t i = 0; i < sections.size(); ++i) {
    CheckRecord(sections[i], i + 1);
    MUST(backend.PutIfAbsent(ManifestBlobName(i + 1), sections[i]).ok(), "memory does not take a blob");
  }
  kernel::Manifest manifest(backend);
  if (const Status loaded = manifest.Load(); !loaded.ok()) return CheckError(loaded);
  const std::string sum = Sum(manifest.state());
  const uint64_t number = manifest.state().last().number;
  const Result<ManifestRecord> full = DecodeManifestRecord(sum, number);
  MUST(full.ok(), "the sum of the records does not read back: " + full.status().ToString());
  kernel::ManifestState again;
  MUST(again.Apply(*full).ok() && Sum(again) == sum, "the sum of the records is another state");
  MUST(manifest.Publish(manifest.NextStep()).ok(), "a loaded manifest does not go on");
  kernel::Manifest reloaded(backend);
  MUST(reloaded.Load().ok() && reloaded.state().last().number == number + 1, "what was published does not load");
  MUST(reloaded.state().tables().size() == manifest.state().tables().size(), "tables were lost");
}

void ResealManifest(std::string* input, uint64_t choice) {
  std::vector<std::string> sections = SplitSections(*input, kMostRecords);
  for (size_t i = 0; i < sections.size(); ++i) {
    if (choice >> i & 3) ResealRecord(i + 1, &sections[i]);
  }
  *input = JoinSections(sections);
}

}  // namespace tarn::fuzz
