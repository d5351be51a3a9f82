// TableProbe: filter -> top index -> index partition -> data block, one block a step; or a hint -> data block.
//
// Why one data block is enough: an index key is >= the last key of its block and < the first key of the next
// one, and where two neighbouring blocks hold versions of one user key it is the last key itself. So the block
// that the index names for the seek key holds the newest visible version, or no block does.
#include "base/assert.h"
#include "format/filter.h"
#include "format/table.h"

namespace tarn {

void TableProbe::Start(const Table* table, std::string_view user_key, Sequence snapshot, LookupHints* hints) {
  table_ = table;
  hints_ = hints;
  seek_key_.clear();
  AppendInternalKey(&seek_key_, user_key, snapshot, kSeekKind);
  value_block_.reset();
  value_ = {};
  status_ = Status();
  sequence_ = 0;
  kind_ = Kind::kDelete;
  present_ = filtered_ = by_hint_ = false;
  if (table->entries() == 0) return Finish(Status());
  if (table->filter().stored_bytes == 0) {
    hints_ = nullptr;  // without a filter nothing says where the data blocks end
    return Enter(Stage::kTopIndex, table->index());
  }
  hash_ = FilterHash(user_key);
  if (hints_ != nullptr && hints_->Get(hash_, table->number(), &hint_) && hint_.offset < table->filter().offset) {
    Enter(Stage::kHint, {hint_.offset, 0});
  } else {
    Enter(Stage::kFilter, table->filter());
  }
}

TableProbe::Step TableProbe::Run(BlockSource& source) {
  while (stage_ != Stage::kDone) {
    BlockRef block = source.Lookup(*table_, wanted_);
    if (block) {
      Digest(std::move(block));
    } else if (!DropHint()) {
      return Step::kNeedBlock;
    }
  }
  return Step::kDone;
}

bool TableProbe::DropHint() {
  if (stage_ != Stage::kHint) return false;
  Enter(Stage::kFilter, table_->filter());
  return true;
}

void TableProbe::Supply(Result<BlockRef> block) {
  DCHECK(stage_ != Stage::kDone);
  if (!block.ok()) return Finish(block.status());
  Digest(std::move(block).value());
}

void TableProbe::Prefetch(const Block& block) const {
  if (stage_ == Stage::kFilter) {
    PrefetchFilter(block.bytes(), hash_);
  } else {
    BlockCursor::Prefetch(block);
  }
}

void TableProbe::Enter(Stage stage, BlockHandle handle) {
  stage_ = stage;
  wanted_ = handle;
}

void TableProbe::Finish(Status status) {
  status_ = std::move(status);
  stage_ = Stage::kDone;
  cursor_.Reset(nullptr);  // an idle probe pins no block
}

void TableProbe::Digest(BlockRef block) {
  const std::string_view user_key = UserKeyOf(seek_key_);
  if (stage_ == Stage::kFilter) {
    filtered_ = !FilterMayContain(block->bytes(), hash_);
    return filtered_ ? Finish(Status()) : Enter(Stage::kTopIndex, table_->index());
  }
  cursor_.Reset(std::move(block));
  if (stage_ == Stage::kHint) {
    // The blocks before the filter are data blocks. An entry of the key that is the first not before the seek key
    // behind a restart point that is, is the first in the block, and in the table.
    by_hint_ = cursor_.SeekFrom(hint_.restart, seek_key_) && UserKeyOf(cursor_.key()) == user_key;
    if (by_hint_) return Found();
    DropHint();
    return;
  }
  cursor_.Seek(seek_key_);
  if (!cursor_.valid()) {
    if (!cursor_.status().ok()) return Finish(table_->BlockError(wanted_, cursor_.status()));
    if (stage_ != Stage::kIndex) return Finish(Status());
    return Finish(table_->BlockError(wanted_, Status::Corruption("ends before its own index key")));
  }
  if (stage_ == Stage::kData) {
    if (UserKeyOf(cursor_.key()) != user_key) return Finish(Status());
    return Found();
  }
  BlockHandle next;
  Status parsed = table_->ParseHandle(cursor_.value(), &next);
  if (!parsed.ok()) return Finish(std::move(parsed));
  Enter(stage_ == Stage::kTopIndex ? Stage::kIndex : Stage::kData, next);
}

// The cursor stands on the version that is the answer.
void TableProbe::Found() {
  kind_ = KindOf(cursor_.key());
  if (kind_ != Kind::kPut && kind_ != Kind::kDelete) {
    return Finish(table_->BlockError(wanted_, Status::Corruption("an entry of unknown kind")));
  }
  present_ = true;
  sequence_ = SequenceOf(cursor_.key());
  value_ = cursor_.value();
  value_block_ = cursor_.block();
  if (hints_ != nullptr && !by_hint_) hints_->Put(hash_, table_->number(), {wanted_.offset, cursor_.seek_restart()});
  Finish(Status());
}

}  // namespace tarn
