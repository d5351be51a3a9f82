#include "tests/sim/worlds.h"

#include "tests/sim/blob_storage.h"
#include "tests/sim/cached_storage.h"
#include "tests/sim/file_storage.h"
#include "tests/sim/lake_world.h"
#include "tests/sim/s3_storage.h"
#include "tests/sim/store_world.h"
#include "tests/sim/tiered_storage.h"

namespace tarn::test {

const std::vector<WorldKind>& Worlds() {
  static const std::vector<WorldKind> worlds = {
      {"store", "a store on blobs in memory: crashes, device errors, a full disk, rot",
       [](const WorldOptions& o) { return MakeStoreWorld(o, MakeMemStorage(o.seed)); }},
      {"files", "a store on the local backend over a simulated filesystem: torn writes, lost names, short transfers",
       [](const WorldOptions& o) { return MakeStoreWorld(o, MakeFileStorage(o.seed)); }},
      {"object", "a store on a bucket that throttles, loses answers, delivers late and twice",
       [](const WorldOptions& o) { return MakeStoreWorld(o, MakeObjectStorage(o.seed)); }},
      {"bucket", "the same with nothing beside the bucket: the log is objects, and no lock keeps writers apart",
       [](const WorldOptions& o) { return MakeStoreWorld(o, MakeBucketStorage(o.seed)); }},
      {"tiered", "a store in a bucket with its log and hot tables on a disk",
       [](const WorldOptions& o) { return MakeStoreWorld(o, MakeTieredStorage(o.seed)); }},
      {"s3", "a store through the S3 backend on a server that throttles, loses answers, acts late and twice",
       [](const WorldOptions& o) { return MakeStoreWorld(o, MakeS3Storage(o.seed)); }},
      {"cached", "the same behind a cache on a disk that fails, fills up and rots without anybody noticing",
       [](const WorldOptions& o) { return MakeStoreWorld(o, MakeCachedStorage(o.seed)); }},
      {"lake", "a lake (files, directories, snapshots, streams) on blobs in memory",
       [](const WorldOptions& o) { return MakeLakeWorld(o, MakeMemStorage(o.seed)); }},
      {"lakefiles", "a lake on the local backend over a simulated filesystem",
       [](const WorldOptions& o) { return MakeLakeWorld(o, MakeFileStorage(o.seed)); }},
  };
  return worlds;
}

const WorldKind* FindWorld(std::string_view name) {
  for (const WorldKind& world : Worlds()) {
    if (world.name == name) return &world;
  }
  return nullptr;
}

}  // namespace tarn::test
