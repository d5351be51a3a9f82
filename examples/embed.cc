// Tarn as a library: open a store, write, read, look back. About twenty lines that use it; the rest prints.
//
//   g++ -std=c++20 embed.cc $(pkg-config --cflags --libs tarn) -o embed        or: cmake -S . -B build
//   (CMakeLists.txt)
//   ./embed store
//
// The argument is a directory for the store, or s3://BUCKET/PREFIX (docs/s3.md); it is made if it is missing, and a
// second run finds the data there.
#include <tarn/db.h>

#include <cstdio>
#include <string>

namespace {

tarn::Status Use(const std::string& place) {
  // Every setting has a default that is meant to be used. A directory is locked for this process until it is closed.
  TARN_ASSIGN(auto db, tarn::DB::Open({}, place));

  // A write survives kill -9 when it returns; ask for kPower where it must survive power loss, too.
  TARN_TRY(db->Put("lake/tarn", "small, deep"));
  TARN_TRY(db->Put("lake/loch", "large", tarn::Durability::kPower));

  // A batch happens as a whole or not at all.
  tarn::WriteBatch batch;
  batch.Put("lake/mere", "shallow");
  batch.Delete("lake/loch");
  auto before = db->GetSnapshot();
  TARN_TRY(db->Write(batch));

  // "Not found" is an answer of its own, apart from errors. A snapshot still sees what was there.
  std::string value;
  const tarn::Status gone = db->Get("lake/loch", &value);
  if (gone.ok()) return tarn::Status::Corruption("a deleted key was found");
  if (gone.code() != tarn::Code::kNotFound) return gone;
  TARN_TRY(db->Get("lake/loch", &value, {.snapshot = before.get()}));
  std::printf("lake/loch was: %s\n", value.c_str());

  // Keys are in bytewise order. When the loop ends, status() says whether it saw everything.
  auto it = db->NewIterator({.prefix = "lake/"});
  for (it->SeekToFirst(); it->valid(); it->Next()) {
    std::printf("%.*s = %.*s\n", static_cast<int>(it->key().size()), it->key().data(),
                static_cast<int>(it->value().size()), it->value().data());
  }
  TARN_TRY(it->status());

  // Snapshots and iterators go before the store.
  it.reset();
  before.reset();
  return db->Close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: embed DIRECTORY|s3://BUCKET/PREFIX\n");
    return 2;
  }
  const tarn::Status status = Use(argv[1]);
  if (!status.ok()) std::fprintf(stderr, "embed: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
