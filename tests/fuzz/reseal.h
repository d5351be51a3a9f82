// Puts right checksums (and magic numbers, identities and versions) into bytes that were changed, so that what stands
// behind a checksum is reached. Lengths and handles are believed where they fit into the bytes; nothing else is
// mended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tarn::fuzz {

// Every block that the footer and the indexes lead to, then the footer.
void ResealTableFile(std::string_view store_id, uint64_t number, std::string* file);

struct ResealedSegment {
  uint64_t end_offset = 0, chain = 0;  // behind the last record
};
// The header and record by record; a length beyond the end is cut to the end. `previous` becomes the link when the
// header has one.
ResealedSegment ResealSegment(std::string_view store_id, uint64_t segment, const ResealedSegment& previous,
                              std::string* bytes);

void ResealRecord(uint64_t number, std::string* bytes);  // of the manifest

}  // namespace tarn::fuzz
