// An image: all blobs of a store as plain strings, and every way of damaging them that the matrix tries.
//
// Damages are made one at a time from a sound image; each says which file it touched, from which byte on, and by
// which class of damage. How densely bytes and lengths are tried is the caller's (Density).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/mem_backend.h"

namespace tarn::test {

using Image = std::map<std::string, std::string>;  // name of a blob -> its bytes

Image ImageOf(Backend& backend);
std::shared_ptr<MemBackend> DiskOf(const Image& image);
std::string KindOf(const std::string& blob);  // "table", "manifest", "wal"

struct Damage {
  std::string what;    // the class: a row of the report
  std::string blob;    // the file that was damaged; the first one where there are two
  size_t from = 0;     // its bytes below are as they were
  std::string detail;  // for people: enough to make it again
  Image image;
};

struct Density {
  size_t byte_step = 1;     // of the bytes of a file, every so manieth is changed
  bool all_values = false;  // three values for each changed byte, instead of one of the three in turn
};

using Try = std::function<void(const Damage&)>;

// Changed bytes, truncations, extensions, and exchanged, zeroed and shifted sectors.
void DamageBytes(const Image& sound, const std::string& blob, const Density& density, const Try& each);
// Whole files: deleted, replaced by or exchanged with another of the kind, replaced by the file of the same name of
// another store; directories deleted.
void DamageFiles(const Image& sound, const Image& other_store, const Try& each);
// Records of log segments: doubled, dropped, exchanged with the next.
void DamageLogRecords(const Image& sound, const Try& each);
// Files that were never ours.
void AddStrangers(const Image& sound, const Try& each);

// Where the records of a segment start, its end last. The header is not among them.
std::vector<size_t> RecordStarts(const std::string& blob, const std::string& bytes);

// TARN_CORRUPTION=full in the environment: every byte, every value.
bool FullMatrix();

}  // namespace tarn::test
