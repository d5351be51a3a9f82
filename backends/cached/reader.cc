#include "backends/cached/reader.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "base/this_thread.h"

namespace tarn::cached {
namespace {

// A larger read takes its time on the wire, not for the way there.
constexpr uint64_t kMaxRead = 8 << 20;

}  // namespace

std::shared_ptr<Flight> Flights::JoinOrStart(const std::shared_ptr<Flight>& mine) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const std::shared_ptr<Flight>& other : flights_) {
    const bool covers = other->begin <= mine->begin && mine->begin - other->begin <= other->bytes.size() &&
                        mine->bytes.size() <= other->bytes.size() - (mine->begin - other->begin);
    if (covers && other->blob == mine->blob) return other;
  }
  flights_.push_back(mine);
  return mine;
}

void Flights::Await(const Flight& flight) {
  std::unique_lock<std::mutex> lock(mutex_);
  ended_.wait(lock, [&] { return flight.done; });
}

void Flights::End(Flight* flight, const Status& status) {
  const std::lock_guard<std::mutex> lock(mutex_);
  flight->status = status;
  flight->done = true;
  std::erase_if(flights_, [&](const std::shared_ptr<Flight>& one) { return one.get() == flight; });
  ended_.notify_all();
}

bool Core::Serves(uint64_t blob_bytes, uint64_t offset, size_t n) const {
  return n > 0 && n <= kMaxRead && offset <= blob_bytes && n <= blob_bytes - offset && !cache->off() &&
         blob_bytes / extent_bytes < UINT32_MAX;
}

void Core::Keep(const BlobKey& blob, uint64_t begin, std::string_view bytes, bool wait) const {
  for (uint64_t at = 0; at < bytes.size(); at += extent_bytes) {
    cache->Insert(blob, static_cast<uint32_t>((begin + at) / extent_bytes), bytes.substr(at, extent_bytes), wait);
  }
}

Status CachedReader::Read(uint64_t offset, std::span<char> out) const {
  if (!core_->Serves(size_, offset, out.size())) return remote_->Read(offset, out);
  ReadPlan plan(core_, *this, offset, out, Again(offset, out.size()));
  for (ReadPlan::DiskRead& read : plan.disk_reads()) {
    read.request.status = read.segment->Read(read.request.offset, read.request.out);
    plan.Took(read);
  }
  if (plan.complete()) {
    ++core_->hits;
    return Status::Ok();
  }
  ++core_->misses;
  return Fetch(&plan, plan.distrust());
}

// `alone`: others' answers are not good enough.
Status CachedReader::Fetch(ReadPlan* plan, bool alone) const {
  const auto mine = std::make_shared<Flight>(key_, plan->missing_begin(), plan->missing_bytes());
  const auto flight = alone ? mine : core_->flights.JoinOrStart(mine);
  if (flight != mine) {
    core_->flights.Await(*flight);
    if (!flight->status.ok()) return Fetch(plan, true);
    plan->Fill(flight->begin, flight->bytes);
    return Status::Ok();
  }
  const Status read = remote_->Read(flight->begin, flight->bytes);
  if (read.ok()) {
    core_->Keep(key_, flight->begin, flight->bytes, core_->warm);
    plan->Fill(flight->begin, flight->bytes);
  }
  core_->flights.End(flight.get(), read);
  return read;
}

bool CachedReader::Again(uint64_t offset, size_t n) const {
  const uint64_t read[] = {offset, n, ThisThread()};
  const uint64_t hash = Hash64({reinterpret_cast<const char*>(read), sizeof(read)});
  return last_.exchange(hash, std::memory_order_relaxed) == hash;
}

ReadPlan::ReadPlan(Core* core, const CachedReader& reader, uint64_t offset, std::span<char> out, bool distrust)
    : core_(core), reader_(reader), offset_(offset), out_(out), distrust_(distrust) {
  const uint64_t last = (offset + out.size() - 1) / core->extent_bytes;
  for (uint64_t extent = offset / core->extent_bytes; extent <= last; ++extent) LookUp(extent);
}

void ReadPlan::LookUp(uint64_t extent) {
  const auto [wanted, from] = WantedOf(extent);
  Place place;
  const auto found =
      core_->cache->Find(reader_.key(), static_cast<uint32_t>(extent), distrust_, from, wanted, &place);
  if (found == DiskCache::Found::kNothing) return Miss(extent);
  if (found == DiskCache::Found::kMemory) return;
  auto segment = core_->cache->OpenSegment(place);
  if (!segment.ok()) {
    core_->cache->Check(place, segment.status(), {});
    return Miss(extent);
  }
  DiskRead read;
  read.wanted = wanted;
  read.from = from;
  read.segment = std::move(*segment);
  if (wanted.size() != place.bytes) read.bytes = std::make_unique_for_overwrite<char[]>(place.bytes);
  read.request.blob = read.segment.get();
  read.request.offset = place.offset;
  read.request.out = {read.bytes != nullptr ? read.bytes.get() : wanted.data(), place.bytes};
  read.place = std::move(place);
  disk_reads_.push_back(std::move(read));
}

void ReadPlan::Took(const DiskRead& read) {
  const std::span<const char> bytes = read.request.out;
  if (!core_->cache->Check(read.place, read.request.status, {bytes.data(), bytes.size()})) {
    return Miss(read.place.extent);
  }
  if (read.bytes != nullptr) std::memcpy(read.wanted.data(), read.bytes.get() + read.from, read.wanted.size());
}

void ReadPlan::Miss(uint64_t extent) {
  missing_.insert(std::upper_bound(missing_.begin(), missing_.end(), extent), extent);
}

size_t ReadPlan::missing_bytes() const {
  const uint64_t end = std::min(reader_.size(), (missing_.back() + 1) * core_->extent_bytes);
  return end - missing_begin();
}

void ReadPlan::Fill(uint64_t begin, std::string_view bytes) {
  for (const uint64_t extent : missing_) {
    const auto [wanted, from] = WantedOf(extent);
    std::memcpy(wanted.data(), bytes.data() + (extent * core_->extent_bytes + from - begin), wanted.size());
  }
  missing_.clear();
}

std::pair<std::span<char>, size_t> ReadPlan::WantedOf(uint64_t extent) const {
  const uint64_t extent_begin = extent * core_->extent_bytes;
  const uint64_t begin = std::max(offset_, extent_begin);
  const uint64_t end = std::min(offset_ + out_.size(), extent_begin + core_->extent_bytes);
  return {out_.subspan(begin - offset_, end - begin), begin - extent_begin};
}

}  // namespace tarn::cached
