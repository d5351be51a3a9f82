#include <cerrno>

#include "base/system_effects.h"
#include "lake/lake_impl.h"

namespace tarn::lake {
namespace {

// Inode numbers taken from the superblock at once: few writes, and a gap nobody minds after a crash.
constexpr uint64_t kInodeLease = 1024;
// Orphan and stage rows turned into trash per batch at open.
constexpr size_t kLeftoversPerBatch = 256;

void FillEffects(Components* components) {
  if (components->clock == nullptr) components->clock = SystemClock();
}

Result<Families> FindFamilies(DB& db) {
  Families families;
  ColumnFamily* const members[] = {&families.meta, &families.content, &families.extents, &families.chunks,
                                   &families.backrefs};
  for (size_t i = 0; i < std::size(members); ++i) {
    const auto found = db.FindFamily(kFamilyNames[i]);
    if (!found.ok() && found.status().code() == Code::kNotFound) {
      return Status::Invalid("the store holds no lake (no family '" + std::string(kFamilyNames[i]) +
                             "'); create one with `tarn init` in an empty place");
    }
    TARN_TRY(found.status());
    *members[i] = *found;
  }
  return families;
}

}  // namespace

Result<std::unique_ptr<Lake>> Lake::Init(Components components, const LakeOptions& options) {
  FillEffects(&components);
  Settings settings = options.settings;
  settings.create_if_missing = true;
  settings.error_if_exists = true;
  TARN_ASSIGN(auto db, DB::Open(settings, components));
  for (const char* name : kFamilyNames) TARN_TRY(db->CreateFamily(name).status());
  TARN_ASSIGN(const Families families, FindFamilies(*db));
  auto lake = std::make_unique<LakeImpl>(std::move(db), families, std::move(components), options);
  TARN_TRY(lake->Format());
  return std::unique_ptr<Lake>(std::move(lake));
}

Result<std::unique_ptr<Lake>> Lake::Open(Components components, const LakeOptions& options) {
  FillEffects(&components);
  Settings settings = options.settings;
  settings.create_if_missing = false;
  settings.error_if_exists = false;
  TARN_ASSIGN(auto db, DB::Open(settings, components));
  TARN_ASSIGN(const Families families, FindFamilies(*db));
  auto lake = std::make_unique<LakeImpl>(std::move(db), families, std::move(components), options);
  TARN_TRY(lake->Recover());
  return std::unique_ptr<Lake>(std::move(lake));
}

LakeImpl::LakeImpl(std::unique_ptr<DB> db, const Families& families, Components components,
                   const LakeOptions& options)
    : components_(std::move(components)),
      dirty_limit_(options.dirty_bytes),
      durability_(options.durability),
      read_only_(options.settings.read_only),
      db_(std::move(db)),
      rows_(db_.get(), families),
      space_(components_.backend->features().space),
      head_(this, rows_, space_),
      reader_(std::shared_ptr<View>(&head_, [](View*) {}), [this]() -> Result<std::shared_ptr<View>> {
        TARN_TRY(CatchUp());
        return std::shared_ptr<View>(&head_, [](View*) {});
      }) {}

LakeImpl::~LakeImpl() {
  // Whoever wants to know calls Close() first; a lake whose opening failed has nothing to seal.
  (void)Close();
}

Status LakeImpl::Format() {
  MutexLock lock(mutex_);
  next_inode_ = leased_until_ = kRootIno + 1;
  Edit edit(rows_);
  Inode* root = edit.Add(kRootIno);
  root->mode = 0040755;
  root->nlink = 2;
  root->parent = kRootIno;
  root->atime = root->mtime = root->ctime = root->btime = Now();
  TARN_TRY(Commit(&edit));
  return WriteSuperblock(false, Durability::kPower);
}

Status LakeImpl::Recover() {
  {
    MutexLock lock(mutex_);
    closed_ = true;  // until all is read: a failed open must not write a superblock when it is destroyed
    const auto superblock = rows_.ReadSuperblock();
    if (!superblock.ok() && superblock.status().code() == Code::kNotFound) {
      return Status::Invalid(
          "the store holds no lake (its initialisation was interrupted); remove it and run "
          "`tarn init` again");
    }
    TARN_TRY(superblock.status());
    next_inode_ = leased_until_ = superblock->next_inode;
    TARN_TRY(ReadCounters(*superblock));
    const auto log = rows_.Walk(rows_.families().meta, std::string(1, kLogRow));
    log->SeekToLast();
    TARN_TRY(log->status());
    if (log->valid()) {
      LogRecord last;
      TARN_TRY(Decode(log->key(), log->value(), &last));
      next_log_id_ = last.id + 1;
    }
    if (read_only_) return Status::Ok();
    TARN_TRY(WriteSuperblock(false, durability_));
    closed_ = false;
    TARN_TRY(MarkLeftovers());
  }
  const Status drained = DrainTrash();
  // Damaged rows in the trash are no reason to keep the rest from its owner: they stay, and a check names them.
  return drained.code() == Code::kCorruption ? Status::Ok() : drained;
}

// Those of a lake that is in use, or was not closed, are to be counted anew, which takes a walk over all inodes.
Status LakeImpl::ReadCounters(const Superblock& superblock) {
  inodes_ = superblock.inodes;
  logical_bytes_ = superblock.logical_bytes;
  counted_ = superblock.clean;
  return counted_ || read_only_ ? Status::Ok() : CountInodes();
}

Status LakeImpl::CatchUp() {
  if (!read_only_) return Status::Ok();
  const uint64_t before = db_->GetSnapshot()->sequence();
  TARN_TRY(db_->CatchUp());
  if (db_->GetSnapshot()->sequence() == before) return Status::Ok();
  MutexLock lock(mutex_);
  counted_ = false;
  return Status::Ok();
}

Status LakeImpl::CountInodes() {
  inodes_ = logical_bytes_ = 0;
  const auto walk = rows_.Walk(rows_.families().meta, std::string(1, kInodeRow), true);
  for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
    ++inodes_;
    Inode inode;
    // A row that does not decode must not keep the lake shut: whoever touches it gets the error, a check names it.
    if (Decode(walk->key(), walk->value(), &inode).ok() && inode.is_regular()) logical_bytes_ += inode.size;
  }
  counted_ = walk->status().ok();
  return walk->status();
}

Status LakeImpl::MarkLeftovers() {
  for (const char kind : {kOrphanRow, kStageRow, kTrashRow}) {
    const auto walk = rows_.Walk(rows_.families().meta, std::string(1, kind));
    walk->SeekToFirst();
    while (walk->valid()) {
      Edit edit(rows_);
      for (size_t n = 0; walk->valid() && n < kLeftoversPerBatch; walk->Next(), ++n) {
        uint64_t ino;
        std::string_view rest;
        if (!ParseMetaKey(walk->key(), &ino, &rest) || !rest.empty()) continue;  // a check names it
        if (kind == kTrashRow) {
          trash_.insert(ino);
          continue;
        }
        edit.DeleteMark(kind, ino);
        Result<Inode*> inode = edit.Load(ino);
        if (!inode.ok() && inode.status().code() == Code::kNotFound) continue;
        TARN_TRY(inode.status());
        (*inode)->nlink = 0;
        (*inode)->parent = 0;
        edit.PutMark(kTrashRow, ino);
      }
      if (!edit.batch().empty()) TARN_TRY(Commit(&edit));
    }
    TARN_TRY(walk->status());
  }
  return Status::Ok();
}

Status LakeImpl::Close() {
  Status first;
  {
    MutexLock lock(mutex_);
    if (closed_) return db_->Close();
  }
  if (!read_only_) first = FlushAll();
  MutexLock lock(mutex_);
  if (closed_) return Status::Ok();
  closed_ = true;
  if (!read_only_) {
    leased_until_ = next_inode_;
    const Status sealed = WriteSuperblock(true, Durability::kPower);
    if (first.ok()) first = sealed;
  }
  const Status closed = db_->Close();
  return first.ok() ? closed : first;
}

Status LakeImpl::Writable() const {
  if (!read_only_) return Status::Ok();
  return Status::FromErrno(EROFS, "the lake was opened read-only; open it for writing");
}

Status LakeImpl::Commit(Edit* edit, Durability durability) {
  TARN_TRY(Writable());
  TARN_TRY(edit->Finish());
  TARN_TRY(db_->Write(edit->batch(), durability));
  inodes_ += edit->inodes_delta();
  logical_bytes_ += edit->bytes_delta();
  for (const auto& [ino, is_trash] : edit->trash) {
    if (is_trash) {
      trash_.insert(ino);
    } else {
      trash_.erase(ino);
    }
  }
  return Status::Ok();
}

Status LakeImpl::WriteSuperblock(bool clean, Durability durability) {
  TARN_TRY(Writable());
  WriteBatch batch;
  batch.Put(rows_.families().meta, std::string(1, kSuperblockRow),
            Encode(Superblock{leased_until_, clean, inodes_, logical_bytes_}));
  return db_->Write(batch, durability);
}

Result<Ino> LakeImpl::NextInode() {
  if (next_inode_ == leased_until_) {
    // Written ahead of its use by itself, so that an operation that fails later cannot take it back.
    leased_until_ += kInodeLease;
    const Status leased = WriteSuperblock(false, durability_);
    if (!leased.ok()) {
      leased_until_ -= kInodeLease;
      return leased;
    }
  }
  return next_inode_++;
}

void LakeImpl::Subscribe(std::function<void(const Change&)> subscriber) {
  MutexLock lock(subscriber_mutex_);
  subscriber_ =
      subscriber ? std::make_shared<const std::function<void(const Change&)>>(std::move(subscriber)) : nullptr;
}

void LakeImpl::Notify(const Change& change) {
  std::shared_ptr<const std::function<void(const Change&)>> subscriber;
  {
    MutexLock lock(subscriber_mutex_);
    subscriber = subscriber_;
  }
  if (subscriber != nullptr) (*subscriber)(change);
}

}  // namespace tarn::lake
