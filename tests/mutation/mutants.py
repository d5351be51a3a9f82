"""The seeded defects of run.py: the traps that storage engines really fell into, planted in our own code.

name    what it is called
what    the defect, in the words of docs/testing.md
file    where; `old` stands there exactly once and becomes `new`
catch   commands (a program of build/bin and its arguments) of which at least one must fail. The machinery that looks
        for unknown bugs comes first; a test that knows this very bug is a second line, not a proof.
"""
from typing import NamedTuple


class Mutant(NamedTuple):
    name: str
    what: str
    file: str
    old: str
    new: str
    catch: list


# Seeds of the simulator, enough for tens of thousands of operations and hundreds of crashes a world.
def sim(world, ops=2000000):
    return ("tarn-sim", "--worlds", world, "--ops", str(ops), "--from", "1", "--jobs", "2")


STORE, FILES, OBJECT = sim("store"), sim("files", 1000000), sim("object")
BUCKET = sim("bucket", 1000000)
LAKE, LAKE_FILES = sim("lake", 400000), sim("lakefiles", 200000)
BACKUP = ("backup_test",)

MUTANTS = [
    # What is remembered must not decide.
    Mutant("hint-believed", "what a lookup hint leads to is taken for the key that is sought",
           "format/table_probe.cc",
           "by_hint_ = cursor_.SeekFrom(hint_.restart, seek_key_) && UserKeyOf(cursor_.key()) == user_key;",
           "by_hint_ = cursor_.SeekFrom(hint_.restart, seek_key_);", [("format_lookup_hints_test",)]),
    Mutant("hint-misses-newer", "a hinted restart point behind newer versions of the key is searched from",
           "format/block.cc", "if (!RestartKey(restart, &key) || CompareInternalKeys(key, target) > 0) return false;",
           "if (!RestartKey(restart, &key)) return false;", [("format_lookup_hints_test",)]),
    # What must be durable, and in which order.
    Mutant("log-sync-skipped", "the log's fdatasync is left out", "backends/local/files.cc",
           "    const int synced = ops_->Fdatasync(fd_);\n    if (synced < 0) failure_",
           "    const int synced = 0;\n    if (synced < 0) failure_", [FILES]),
    Mutant("blob-sync-skipped", "a table is published without having been synced", "backends/local/files.cc",
           "const int synced = directory_->ops().Fdatasync(temporary_.fd);", "const int synced = 0;", [FILES]),
    Mutant("directory-sync-skipped", "a published name's directory is not synced",
           "backends/local/store_directory.cc",
           "  TARN_TRY(SyncDirectoryOf(name));\n  if (linked)", "  if (linked)", [FILES]),
    Mutant("log-name-not-synced", "a new log segment's directory is not synced", "backends/local/files.cc",
           "  TARN_TRY(directory->SyncDirectoryOf(name));\n  return std::unique_ptr<AppendFile>",
           "  return std::unique_ptr<AppendFile>", [FILES]),
    Mutant("parent-directory-not-synced", "a new directory's parent is not synced",
           "backends/local/store_directory.cc",
           "const int synced = ops_->SyncDirectory(DirectoryOf(directory));", "const int synced = 0;", [FILES]),
    Mutant("short-read-believed", "a short read counts as a whole one", "backends/local/files.cc",
           "    done += static_cast<size_t>(n);", "    done = needed;", [FILES]),
    Mutant("short-write-believed", "a short write counts as a whole one", "backends/local/files.cc",
           "    bytes.remove_prefix(static_cast<size_t>(n));", "    bytes = {};", [FILES]),
    Mutant("acknowledged-before-sync", "a power-safe write is acknowledged when it was written, not synced",
           "wal/segmented_wal.cc", "if (durability == Durability::kPower) return SyncFile();",
           "if (durability == Durability::kPower) return WritePending();", [STORE]),
    Mutant("failed-sync-ignored", "the log goes on after a failed sync", "wal/segmented_wal.cc",
           "    TARN_TRY(file_->Sync());", "    (void)file_->Sync();", [STORE]),
    Mutant("watermark-before-sync", "a record claims that it is durable itself", "wal/segmented_wal.cc",
           "{static_cast<uint32_t>(payload.size()), type, durable_offset_, chain_}",
           "{static_cast<uint32_t>(payload.size()), type, end_offset_, chain_}", [STORE]),
    Mutant("segment-released-early", "the log releases the segment that is still needed", "wal/old_segments.cc",
           "segments_.front().number < first_needed)", "segments_.front().number <= first_needed)",
           [STORE, ("wal_test",)]),
    Mutant("fenced-append-believed", "a log object that another writer has put counts as one's own",
           "wal/object_writer.cc", "if (!own) {", "if (!own && false) {",
           [("wal_test", "--gtest_filter=ObjectLog.*"), ("kernel_test", "--gtest_filter=Takeover.*")]),
    Mutant("taken-log-not-replayed", "what another writer logged between replay and takeover is not replayed",
           "kernel/open.cc", "if (log_->segment() == segment) return {};", "if (log_ != nullptr) return {};",
           [("kernel_test", "--gtest_filter=Takeover.*")]),
    Mutant("log-cut-too-far", "a flush moves the start of the log past memtables that are not flushed",
           "kernel/background.cc", "view->mems[view->mems.size() - 2]->first_wal()",
           "view->mems.front()->first_wal()",
           [STORE, ("kernel_test",)]),
    Mutant("log-deleted-before-manifest", "a flush releases the log before its record is published",
           "kernel/background.cc", "    std::vector<TableMeta> unwanted;\n",
           "    std::vector<TableMeta> unwanted;\n    (void)owner_.hooks_.release_wal("
           "owner_.store_.Pin().view->mems.front()->first_wal());\n", [STORE]),
    Mutant("inputs-deleted-before-manifest", "a compaction deletes its inputs before its record is published",
           "kernel/background.cc", "    bool dropped = false;\n",
           "    bool dropped = false;\n    for (const RunRef& run : inputs_) {\n"
           "      for (const auto& t : run->tables) "
           "(void)owner_.store_.parts.backend->Delete(TableBlobName(t->meta().number));\n    }\n", [STORE]),
    Mutant("close-does-not-seal", "closing leaves the last writes in memory", "kernel/write_path.cc",
           "  TARN_TRY(wal_->Close());\n", "", [STORE]),
    Mutant("fence-ignored", "a manifest number that somebody else decided counts as published", "kernel/manifest.cc",
           "if (outcome.ok() && *outcome == PutOutcome::kCreated) return CheckNewest(record.number);",
           "if (outcome.ok()) return {};",
           [OBJECT, STORE]),
    Mutant("group-takes-leaders-durability", "a group is as durable as its last writer asked",
           "kernel/write_path.cc", "durability = std::max(durability, writer->durability);",
           "durability = writer->durability;", [("power_cut_test", "--cuts", "30"), ("histories_test",)]),
    Mutant("process-safe-write-kept-back", "a write that must survive a kill stays in memory", "wal/segmented_wal.cc",
           "if (durability == Durability::kProcess || pending_.size() >= kPendingBytes)",
           "if (pending_.size() >= kPendingBytes)", [STORE]),
    Mutant("log-released-before-recovery", "recovery releases the log before its tables are published",
           "kernel/open.cc", "  TARN_TRY(SaveRecovered(recovered, segment));",
           "  TARN_TRY(wal->Release(segment));\n  TARN_TRY(SaveRecovered(recovered, segment));",
           [STORE, ("kill_store", "--kills", "40")]),
    Mutant("log-error-not-sticky", "a commit whose log record failed does not fail the store", "kernel/write_path.cc",
           "  TARN_TRY(LogFailed(logged));", "  TARN_TRY(logged);",
           [("faults_fsync_test",), STORE]),
    Mutant("bulk-work-not-flushed", "a durable commit does not flush what the log did without",
           "kernel/write_path.cc", "  if (durability > Durability::kNone) TARN_TRY(FlushUnlogged());\n", "",
           [BUCKET]),
    # What a reader may see.
    Mutant("snapshot-off-by-one", "a snapshot sees the write after it", "kernel/store.cc",
           "  const Sequence sequence = visible();\n  snapshots_.insert(sequence);",
           "  const Sequence sequence = visible() + 1;\n  snapshots_.insert(sequence);", [STORE]),
    Mutant("snapshot-not-retained", "a merge forgets the snapshots that readers hold", "kernel/store.cc",
           "  all.insert(snapshots_.begin(), snapshots_.end());\n", "", [STORE]),
    Mutant("stripe-off-by-one", "a merge counts a snapshot's own sequence to the next stripe",
           "compaction/drop_rules.cc", "std::lower_bound(retained_.begin(), retained_.end(), sequence) - ",
           "std::upper_bound(retained_.begin(), retained_.end(), sequence) - ", [STORE]),
    Mutant("tombstone-elided-early", "a merge above the bottom drops tombstones", "kernel/background.cc",
           "std::move(inputs), plan.output_level, end == runs.end(),", "std::move(inputs), plan.output_level, true,",
           [STORE]),
    Mutant("range-tombstone-forgotten", "a merge drops range tombstones of its inputs", "kernel/background.cc",
           "          spec.tombstones.push_back(std::move(tombstone));", "          (void)tombstone;", [STORE]),
    Mutant("merge-out-of-age", "the result of a merge counts as newer than runs above it", "kernel/background.cc",
           "        if (input->level == output_level_) run = std::max(run, input->id);",
           "        (void)output_level_;",           [("metamorphic_test",), STORE]),
    Mutant("visible-before-inserted", "a write is visible before it is in the memtable", "kernel/write_path.cc",
           "    AddToMemtables(first, first + count - 1, group);\n",
           "    store_.Show(first + count - 1);\n    AddToMemtables(first, first + count - 1, group);\n",
           [("histories_test",), ("stress_test",)]),
    Mutant("conflict-missed", "a transaction does not track what it read", "kernel/transaction.cc",
           "  tracked_.insert(std::move(id));\n", "", [STORE]),
    Mutant("drop-hides-nothing", "a lookup does not ask a table's range tombstones", "kernel/read_path.cc",
           "    cover_ = table->range_tombstones().NewestCover(key_, snapshot_);", "    cover_ = 0;", [STORE]),
    Mutant("snapshot-ignored", "a lookup at a snapshot sees what is there now", "kernel/read_path.cc",
           "snapshot != nullptr ? snapshot->sequence()", "snapshot != nullptr && false ? snapshot->sequence()",
           [STORE, ("exhaustive_test",)]),
    Mutant("snapshot-not-durable", "a named snapshot is published before the log it stands on is synced",
           "kernel/admin.cc", "  TARN_TRY(LogIsNear() ? Flush() : writes_->SyncWal());\n  const NamedSnapshot made{",
           "  const NamedSnapshot made{", [STORE, ("exhaustive_test",)]),
    Mutant("put-leaves-dead-range", "a put does not end what iterators remember as dead", "kernel/write_path.cc",
           "if (tell_puts && change.kind == Kind::kPut)", "if (tell_puts && change.kind == Kind::kRangeDelete)",
           [STORE, ("iterators_test",)]),
    Mutant("old-row-believed", "what a walk found dead is believed although writers have gone on since",
           "kernel/dead_ranges.cc", "  if (announced <= snapshot) {", "  if (announced <= snapshot || true) {",
           [STORE, ("iterators_test",)]),
    Mutant("watch-proven-by-older-walk", "a watched row is believed after a walk as of a moment before the watch",
           "kernel/dead_ranges.cc", "    if (watch.announced > snapshot) return false;\n", "",
           [STORE, ("kernel_read_test",)]),
    Mutant("writers-asked-before-watch", "a walk asks how far writers are before they can see what it found",
           "kernel/dead_ranges.cc", "  known.watches.push_back({row, kMaxSequence});\n  Publish();\n"
           "  const Sequence announced = announced_.load();",
           "  const Sequence announced = announced_.load();\n  known.watches.push_back({row, kMaxSequence});\n"
           "  Publish();\n ", [("iterators_test",)]),
    Mutant("announced-when-visible", "a writer announces its changes only when it makes them visible",
           "kernel/write_path.cc", "= store_.dead_ranges.Announce(last);",
           "= store_.dead_ranges.Announce(std::min(first - 1, last));", [("iterators_test",)]),
    # Errors that must not become answers.
    Mutant("read-error-is-absence", "a lookup that failed answers: not found", "kernel/read_path.cc",
           "  if (!read.status().ok()) return Store::NoAnswer(read.status());\n", "", [STORE]),
    Mutant("unreadable-input-ends", "a merge takes an unreadable input for one that has ended", "compaction/job.cc",
           "  if (status.ok()) status = cursor->status();", "  if (false) status = cursor->status();", [STORE]),
    Mutant("checksum-not-compared", "a block's checksum is not compared", "format/table.cc",
           "!= DecodeFixed64(stored.data() + summed)) {",
           "!= DecodeFixed64(stored.data() + summed) && stored.empty()) {",
           [STORE, ("corruption_store_test",)]),
    Mutant("torn-record-whole", "replay does not check a record's payload", "wal/segment_reader.cc",
           "  if (NextChain(chain_, found) != header->chain) return Item::kBad;\n", "", [STORE]),
    Mutant("lost-record-is-tail", "replay takes every damage for a torn tail", "wal/replay.cc",
           "if (!witness.has_value()) return EndAt(reader, segment);", "return EndAt(reader, segment);",
           [("corruption_store_test",), STORE]),
    Mutant("zeros-hide-damage", "any bytes behind the log's end count as space taken ahead", "wal/segment_reader.cc",
           "    if (window.find_first_not_of('\\0') != std::string_view::npos) return false;\n", "",
           [("corruption_store_test",), ("wal_test",)]),
    Mutant("freed-under-readers", "what readers without locks may still look at is freed", "base/reclaimer.cc",
           "object->retired_in_ + 2 >", "object->retired_in_ >", [("base_test",), ("kernel_read_test",)]),
    Mutant("missing-segment-accepted", "replay steps over a missing segment", "wal/replay.cc",
           "    if (previous.segment == 0) return Status::Ok();", "    return Status::Ok();",
           [("corruption_store_test",), STORE]),
    Mutant("sequence-gap-accepted", "recovery steps over missing sequences", "kernel/log_replay.cc",
           "payload.first != log->last_sequence + 1", "payload.first <= log->last_sequence",
           [("corruption_holes_test",)]),
    Mutant("short-log-accepted", "recovery does not ask how far the log was durable", "kernel/log_replay.cc",
           "  if (log.last_sequence >= last.durable_sequence) return {};\n", "  return {};\n",
           [("corruption_store_test",)]),
    Mutant("new-store-over-tables", "a store without a manifest counts as absent", "kernel/manifest.cc",
           "records_.empty() ? WhyNone()", "records_.empty() ? Status::NotFound(\"none\")",
           [("corruption_store_test",), ("corruption_holes_test",)]),
    Mutant("rollback-not-noticed", "recovery does not compare the log with the newest manifest record",
           "kernel/log_replay.cc", "log.manifest <= manifest.last().number",
           "log.manifest <= manifest.last().number + 1000", [("corruption_store_test",), ("corruption_holes_test",)]),
    Mutant("short-completion-believed", "a short io_uring completion counts as a whole one",
           "backends/local/completion.h",
           "return read->done < read->wanted ? Completion::kAgain : Completion::kWhole;",
           "return Completion::kWhole;", [("faults_uring_test",)]),
    Mutant("unverified-restart", "hostile bytes: an entry may share more of a key than there is", "format/block.cc",
           "if (entry.shared > key_.size() || ", "if (",
           [("fuzz_replay", "block", "--mutations", "1000", "../tree/tests/fuzz/corpus/block")]),
    Mutant("reads-freed-in-flight", "a batch of reads ends while the device still writes to its buffers",
           "kernel/read_engine.cc", "while (in_flight_ > 0) {", "while (false) {", [("faults_allocation_test",)]),
    # Backups.
    Mutant("backup-ignores-prunes", "a backup does not look whether a prune is under way", "kernel/repository.cc",
           "if (prunes.ok() && prunes->blobs.empty()) return name;", "if (prunes.ok()) return name;", [BACKUP]),
    Mutant("prune-lists-intents-last", "a prune misses the backup that commits while it looks",
           "kernel/backup_prune.cc",
           "    TARN_TRY(KeepTablesOf(kIntents, &report_.unfinished));\n"
           "    TARN_TRY(KeepTablesOf(kClones, &report_.clones));\n"
           "    TARN_ASSIGN(std::vector<uint64_t> numbers, repository_.Numbers());\n",
           "    TARN_ASSIGN(std::vector<uint64_t> numbers, repository_.Numbers());\n"
           "    TARN_TRY(KeepTablesOf(kIntents, &report_.unfinished));\n"
           "    TARN_TRY(KeepTablesOf(kClones, &report_.clones));\n", [BACKUP]),
    Mutant("clone-of-a-pruned-backup", "a clone does not look whether its backup is still there", "kernel/restore.cc",
           "if (made.ok()) made = overlay::PutBase", "made = overlay::PutBase", [BACKUP]),
    Mutant("siblings-share-numbers", "a restored store gives out the table numbers of the original",
           "kernel/store_copy.cc", "return (given_out / kTableRange + ranges) * kTableRange;",
           "return given_out + 0 * ranges;", [BACKUP]),
    # The lake.
    Mutant("back-reference-forgotten", "a block shared by two files gets one back reference", "lake/chunk_refs.cc",
           "    for (const auto& [ino, block] : changes.added) {",
           "    for (const auto& [ino, block] : existed ? std::set<Place>() : changes.added) {",
           [("lake_test",), LAKE]),
    Mutant("chunk-dropped-in-use", "a chunk goes although another file refers to it", "lake/chunk_refs.cc",
           "changes.added.empty() && existed && !remains)", "changes.added.empty() && existed)",
           [("lake_test",), LAKE]),
    Mutant("attributes-left-behind", "removing a file leaves its extended attributes", "lake/reclaim.cc",
           "  if (inode->xattrs == 0) return true;", "  return true;", [LAKE]),
    Mutant("moved-directory-keeps-parent", "a moved directory still names its old parent", "lake/namespace.cc",
           "  if (source_dirs != 0) moved->parent = move.to;\n", "", [LAKE]),
    Mutant("orphan-not-marked", "an open file that lost its last name is not marked",
           "lake/namespace.cc",
           "    edit->PutMark(kOrphanRow, ino);\n    return Status::Ok();", "    return Status::Ok();", [LAKE]),
]
