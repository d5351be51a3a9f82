#include "kernel/repair_losses.h"

#include <algorithm>

namespace tarn {
namespace {

std::string Printable(std::string_view key) {
  constexpr size_t kShown = 64;
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "'";
  for (const char c : key.substr(0, kShown)) {
    if (c >= 0x20 && c < 0x7f && c != '\\' && c != '\'') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out + (key.size() > kShown ? "...'" : "'");
}

}  // namespace

bool RepairLoss::Covers(std::string_view name, std::string_view key) const {
  if (!keys || (!any_family && name != family_name)) return false;
  return begin <= key && (end.empty() || key < end);
}

std::string RepairLoss::ToString() const {
  std::string out = blob;
  if (length != 0) out += ", offset " + std::to_string(offset) + ", " + std::to_string(length) + " bytes";
  out += ": " + reason;
  if (keys && begin.empty() && end.empty()) {
    out += any_family ? "; may affect any key" : "; may affect any key of family " + family_name;
  } else if (keys) {
    out += "; may affect keys from " + Printable(begin) + (end.empty() ? "" : " to before " + Printable(end)) +
           " of family " + family_name;
  }
  if (min_sequence != 0 && max_sequence != kMaxSequence) {
    out += ", sequences " + std::to_string(min_sequence) + " to " + std::to_string(max_sequence);
  } else if (min_sequence != 0) {
    out += ", sequences from " + std::to_string(min_sequence);
  }
  return out;
}

namespace kernel {

void RepairLosses::Add(RepairLoss loss) {
  std::vector<RepairLoss>& here = losses_[{loss.blob, loss.offset}];
  const bool known = std::any_of(here.begin(), here.end(), [&](const RepairLoss& other) {
    return other.reason == loss.reason && other.begin == loss.begin && other.end == loss.end;
  });
  if (!known) here.push_back(std::move(loss));
}

std::vector<RepairLoss> RepairLosses::Take() {
  std::vector<RepairLoss> all;
  for (auto& [place, here] : losses_) {
    for (RepairLoss& loss : here) {
      RepairLoss* const before = all.empty() ? nullptr : &all.back();
      const bool goes_on = before != nullptr && before->blob == loss.blob && before->length != 0 && before->keys &&
                           before->offset + before->length == loss.offset && before->reason == loss.reason &&
                           before->family == loss.family && before->begin <= loss.begin &&
                           (before->end.empty() || before->end >= loss.begin);
      if (!goes_on) {
        all.push_back(std::move(loss));
        continue;
      }
      before->length += loss.length;
      if (!before->end.empty() && (loss.end.empty() || loss.end > before->end)) before->end = std::move(loss.end);
    }
  }
  losses_.clear();
  return all;
}

}  // namespace kernel
}  // namespace tarn
