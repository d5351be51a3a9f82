// TableProbe: filter -> top index -> index partition -> data block, one block a step.
//
// Why one data block is enough: an index key is >= the last key of its block and < the first key of the next
// one, and where two neighbouring blocks hold versions of one user key it is the last key itself. So the block
// that the index names for the seek key holds the newest visible version, or no block does.
#include "base/assert.h"
#include "format/filter.h"
#include "format/table.h"

namespace tarn {

void TableProbe::Start(const Table* table, std::string_view user_key, Sequence snapshot) {
  table_ = table;
  seek_key_.clear();
  AppendInternalKey(&seek_key_, user_key, snapshot, kSeekKind);
  supplied_.reset();
  value_block_.reset();
  value_ = {};
  status_ = Status();
  sequence_ = 0;
  kind_ = Kind::kDelete;
  present_ = filtered_ = false;
  if (table->entries() == 0) return Finish(Status());
  if (table->filter().stored_bytes != 0) {
    Enter(Stage::kFilter, table->filter());
  } else {
    Enter(Stage::kTopIndex, table->index());
  }
}

TableProbe::Step TableProbe::Run(BlockSource& source) {
  while (stage_ != Stage::kDone) {
    BlockRef block = supplied_ ? std::move(supplied_) : source.Lookup(*table_, wanted_);
    if (!block) return Step::kNeedBlock;
    Digest(std::move(block));
  }
  return Step::kDone;
}

void TableProbe::Supply(Result<BlockRef> block) {
  DCHECK(stage_ != Stage::kDone);
  if (!block.ok()) return Finish(block.status());
  supplied_ = std::move(block).value();
}

void TableProbe::Enter(Stage stage, BlockHandle handle) {
  stage_ = stage;
  wanted_ = handle;
}

void TableProbe::Finish(Status status) {
  status_ = std::move(status);
  stage_ = Stage::kDone;
  supplied_.reset();
  cursor_.Reset(nullptr);  // an idle probe pins no block
}

void TableProbe::Digest(BlockRef block) {
  const std::string_view user_key = UserKeyOf(seek_key_);
  if (stage_ == Stage::kFilter) {
    filtered_ = !FilterMayContain(block->bytes(), user_key);
    return filtered_ ? Finish(Status()) : Enter(Stage::kTopIndex, table_->index());
  }
  cursor_.Reset(std::move(block));
  cursor_.Seek(seek_key_);
  if (!cursor_.valid()) {
    if (!cursor_.status().ok()) return Finish(table_->BlockError(wanted_, cursor_.status()));
    if (stage_ != Stage::kIndex) return Finish(Status());
    return Finish(table_->BlockError(wanted_, Status::Corruption("ends before its own index key")));
  }
  if (stage_ == Stage::kData) {
    if (UserKeyOf(cursor_.key()) != user_key) return Finish(Status());
    kind_ = KindOf(cursor_.key());
    if (kind_ != Kind::kPut && kind_ != Kind::kDelete) {
      return Finish(table_->BlockError(wanted_, Status::Corruption("an entry of unknown kind")));
    }
    present_ = true;
    sequence_ = SequenceOf(cursor_.key());
    value_ = cursor_.value();
    value_block_ = cursor_.block();
    return Finish(Status());
  }
  BlockHandle next;
  Status parsed = table_->ParseHandle(cursor_.value(), &next);
  if (!parsed.ok()) return Finish(std::move(parsed));
  Enter(stage_ == Stage::kTopIndex ? Stage::kIndex : Stage::kData, next);
}

}  // namespace tarn
