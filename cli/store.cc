#include "cli/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "backends/location/location.h"
#include "base/system_effects.h"
#include "cli/context.h"
#include "cli/local_fs.h"
#include "cli/spending.h"
#include "cli/text.h"

namespace tarn::cli {
namespace {

constexpr std::string_view kFileScheme = "file://";

Result<std::shared_ptr<Backend>> OpenAt(const std::string& location, location::LocationOptions options) {
  options.on_bucket = Counted;
  return location::OpenLocation(location, options, SystemClock(), SystemEntropy());
}

Result<Components> ComponentsOf(const std::string& location, Access access, const std::string& holder,
                                bool warm = false) {
  if (!IsBucket(location)) TARN_TRY(DirectoryOf(location).status());
  Components components;
  components.holder = holder;
  location::LocationOptions options;
  options.create = access == Access::kCreate;
  options.read_only = access == Access::kRead;
  options.holder = holder;
  options.warm = warm;
  TARN_ASSIGN(components.backend, OpenAt(location, options));
  return components;
}

// Tables or a log without a manifest are a store that lost it: the kernel says so.
Result<bool> HoldsStore(Backend& backend) {
  for (const char* part : {"manifest/", "table/", "wal/"}) {
    TARN_ASSIGN(const ListPage page, backend.List(part, "", 1));
    if (!page.blobs.empty()) return true;
  }
  return false;
}

Result<Found> LookAtLocation(const std::string& location) {
  if (!IsBucket(location)) {
    TARN_ASSIGN(const std::string directory, DirectoryOf(location));
    return LookAt(directory);
  }
  location::LocationOptions look;
  look.read_only = look.bare = true;
  TARN_ASSIGN(const auto bucket, OpenAt(location, look));
  TARN_ASSIGN(const bool store, HoldsStore(*bucket));
  return store ? Found::kStore : Found::kEmpty;  // other objects below a prefix disturb nobody
}

}  // namespace

bool IsBucket(const std::string& location) { return location.starts_with("s3://"); }

Result<std::string> DirectoryOf(const std::string& location) {
  if (location.empty()) return NoLocation();
  if (location.starts_with(kFileScheme)) {
    const std::string path = location.substr(kFileScheme.size());
    if (path.starts_with('/')) return path;
    return Status::Invalid(
        fmt::format("{}: a file:// URL holds an absolute path; write file:///path", Escape(location)));
  }
  if (IsBucket(location)) {
    return Status::Unsupported(
        fmt::format("{}: this verb needs a lake in a directory; a bucket has none", Escape(location)));
  }
  const size_t colon = location.find("://");
  if (colon != std::string::npos && location.find('/') > colon) {
    return Status::Unsupported(
        fmt::format("{}: this program has no '{}' backend; use a path, a file:// or an s3:// URL", Escape(location),
                    Escape(location.substr(0, colon))));
  }
  return location;
}

Result<Found> LookAt(const std::string& directory) {
  struct stat st;
  if (stat(directory.c_str(), &st) != 0) {
    if (errno == ENOENT) return Found::kMissing;
    return LocalError(errno, directory, "check the path and its permissions");
  }
  if (!S_ISDIR(st.st_mode)) {
    return Status(Code::kInvalid,
                  fmt::format("{}: not a directory; a lake is a directory, name another path", Escape(directory)),
                  ENOTDIR);
  }
  UniqueFd fd = OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) return LocalError(errno, directory, "check its permissions");
  TARN_ASSIGN(const auto names, ListDirectory(fd.get(), directory));
  if (names.empty()) return Found::kEmpty;
  TARN_ASSIGN(auto backend, OpenBackend(directory));
  TARN_ASSIGN(const bool store, HoldsStore(*backend));
  return store ? Found::kStore : Found::kSomethingElse;
}

Result<std::unique_ptr<lake::Lake>> OpenLake(const std::string& location, Access access, const std::string& holder) {
  TARN_ASSIGN(const Found found, LookAtLocation(location));
  if (found != Found::kStore) return NoLakeAt(location);
  TARN_ASSIGN(Components components, ComponentsOf(location, access, holder));
  lake::LakeOptions options;
  options.settings.create_if_missing = false;
  options.settings.read_only = access == Access::kRead;
  TARN_TRY(location::ApplyLocation(location, &options.settings));
  // There a commit is a request. A verb ends with a record that makes all it did durable; a mount has its own clock.
  if (IsBucket(location)) options.durability = Durability::kNone;
  auto lake = lake::Lake::Open(std::move(components), options);
  if (!lake.ok()) return At(location, lake.status());
  return lake;
}

Result<WarmLake> OpenLakeToWarm(const std::string& location, const std::string& holder) {
  TARN_ASSIGN(const location::Location parsed, location::ParseLocation(location));
  if (parsed.cache.empty()) {
    return Status::Invalid(
        fmt::format("{}: this location has no cache; name one in a bucket's URL: s3://BUCKET/PREFIX?cache=DIR",
                    Escape(location)));
  }
  TARN_ASSIGN(const Found found, LookAtLocation(location));
  if (found != Found::kStore) return NoLakeAt(location);
  TARN_ASSIGN(Components components, ComponentsOf(location, Access::kRead, holder, /*warm=*/true));
  WarmLake warm;
  warm.backend = components.backend;
  if (FactsOfCache(*warm.backend).off) return Status::Busy(warm.backend->info().read_engine);
  lake::LakeOptions options;
  options.settings.create_if_missing = false;
  options.settings.read_only = true;
  TARN_ASSIGN(warm.lake, lake::Lake::Open(std::move(components), options));
  return warm;
}

CacheFacts FactsOfCache(Backend& backend) {
  CacheFacts facts;
  MeterSource* const meters = backend.features().meters;
  if (meters == nullptr) return facts;
  for (const Meter& meter : meters->Meters()) {
    if (meter.name == "cache.off") facts.off = meter.value != 0;
    if (meter.name == "cache.hits") facts.hits = meter.value;
    if (meter.name == "cache.misses") facts.misses = meter.value;
    if (meter.name == "cache.limit_bytes") facts.limit_bytes = meter.value;
  }
  return facts;
}

Result<std::unique_ptr<lake::Lake>> InitLake(const std::string& location, const std::string& holder) {
  TARN_ASSIGN(const Found found, LookAtLocation(location));
  if (found == Found::kStore) {
    return Status(Code::kInvalid,
                  fmt::format("{}: there is a lake or store already; use it, or name another path", Escape(location)),
                  EEXIST);
  }
  if (found == Found::kSomethingElse) {
    return Status(
        Code::kInvalid,
        fmt::format("{}: the directory is not empty and is no lake; name an empty or new one", Escape(location)),
        ENOTEMPTY);
  }
  TARN_ASSIGN(Components components, ComponentsOf(location, Access::kCreate, holder));
  lake::LakeOptions options;
  TARN_TRY(location::ApplyLocation(location, &options.settings));
  return lake::Lake::Init(std::move(components), options);
}

Result<std::unique_ptr<DB>> OpenStore(const std::string& location, Access access, const std::string& holder) {
  TARN_ASSIGN(const Found found, LookAtLocation(location));
  if (found == Found::kSomethingElse) {
    return Status::Invalid(
        fmt::format("{}: the directory is not empty and is no store; name another one", Escape(location)));
  }
  if (found != Found::kStore && access != Access::kCreate) {
    return Status::NotFound(fmt::format("no store at {}; the first write makes one: tarn --lake {} kv put KEY VALUE",
                                        Escape(location), ShellQuote(location)));
  }
  TARN_ASSIGN(Components components, ComponentsOf(location, access, holder));
  Settings settings;
  settings.create_if_missing = access == Access::kCreate;
  settings.read_only = access == Access::kRead;
  TARN_TRY(location::ApplyLocation(location, &settings));
  TARN_ASSIGN(auto db, DB::Open(settings, std::move(components)));
  if (db->ListFamilies().size() > 1) {
    return Status::Invalid(
        fmt::format("{}: a lake lives there, no plain store; kv works on a store of its own", Escape(location)));
  }
  return db;
}

Result<std::shared_ptr<Backend>> OpenBackend(const std::string& directory) {
  return OpenAt(directory, {.create = false, .read_only = true});
}

Result<std::shared_ptr<Backend>> MakeBackend(const std::string& directory) { return OpenAt(directory, {}); }

Result<std::shared_ptr<Backend>> OpenPlace(const std::string& location, Access access) {
  location::LocationOptions options;
  options.bare = true;
  options.create = access == Access::kCreate;
  options.read_only = access == Access::kRead;
  return OpenAt(location, options);
}

Status NoLocation() { return {Code::kInvalid, "which lake? name it with --lake PATH or in $TARN_LAKE", EINVAL}; }

Status NoLakeAt(const std::string& location) {
  return {Code::kNotFound,
          fmt::format("no lake at {}; create one with: tarn --lake {} init", Escape(location), ShellQuote(location)),
          ENOENT};
}

}  // namespace tarn::cli
