// tests/fuzz/structure_view_fuzz.cc - a structure blob that came back wrong from disk
//
// The first byte: 0 of 3, the rest is a blob as it stands; 1, the rest is made to add up first, so
// that the table of parts is reached; 2, the rest is kept fields that are made to add up.
//
// Promises   a blob opens or is refused; of one that opens every range lies within the message,
//            every part has one parent and stands behind it, and every section can be asked for;
//            kept fields open or are refused, and may be searched

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "common/message/blob.h"
#include "common/message/header.h"
#include "common/message/kept_fields.h"
#include "common/message/structure.h"
#include "common/message/text.h"

namespace {

using namespace rims::message;

void insist(bool promise) {
  if (!promise) std::abort();
}

void inside(const Range& range, const StructureView& view) {
  insist(uint64_t{range.offset} + range.length <= view.message_size());
}

void make_it_add_up(std::string& blob) {
  if (blob.size() < sizeof(blob::Head) + sizeof(blob::Row)) return;
  auto head = blob::read<blob::Head>(blob, 0);
  const auto rest = static_cast<uint32_t>(blob.size() - sizeof(blob::Head));
  const auto most = static_cast<uint32_t>(rest / sizeof(blob::Row));
  std::memcpy(head.magic, blob::kMagic, sizeof head.magic);
  head.version = blob::kVersion;
  head.flags &= blob::kKnownFlags;
  head.fields_size = 0;
  head.part_count = head.part_count % most + 1;
  const auto texts = static_cast<uint32_t>(rest - head.part_count * sizeof(blob::Row));
  head.envelope_size = texts / 2;
  head.body_size = texts / 4;
  head.bodystructure_size = texts - head.envelope_size - head.body_size;
  std::memcpy(blob.data(), &head, sizeof head);
}

void try_fields(std::string bytes, bool add_up) {
  if (add_up && bytes.size() >= sizeof(blob::FieldsHead)) {
    auto head = blob::read<blob::FieldsHead>(bytes, 0);
    const size_t rest = std::min<size_t>(bytes.size() - sizeof head, 0xffff);
    bytes.resize(sizeof head + rest);
    std::memcpy(head.magic, blob::kFieldsMagic, sizeof head.magic);
    head.version = blob::kFieldsVersion;
    head.flags &= blob::kKnownFlags;
    head.header_size = static_cast<uint16_t>(std::min<size_t>(head.header_size, rest));
    head.texts_size = static_cast<uint16_t>(rest - head.header_size);
    std::memcpy(bytes.data(), &head, sizeof head);
  }
  const auto kept = KeptFields::open(bytes);
  if (!kept) return;
  insist(kept->header().size() < bytes.size());
  static const auto needle = Needle::make("a");
  const std::string_view names[] = {"from", "subject", "list-id"};
  for (const std::string_view name : names)
    if (kept->has(*KeptNames::of(name))) static_cast<void>(kept->contains(name, *needle));
  insist(kept->sent_day().has_value() == kept->sent_time().has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string blob(reinterpret_cast<const char*>(data) + 1, size - 1);
  try_fields(blob, data[0] % 3 == 2);
  if (data[0] % 3 == 1) make_it_add_up(blob);
  const auto view = StructureView::open(blob);
  if (!view) return 0;

  insist(view->envelope().size() + view->body().size() + view->bodystructure().size() <
         blob.size());
  std::vector<bool> has_parent(view->part_count());
  for (uint32_t i = 0; i < view->part_count(); i++) {
    const Part part = view->part(i);
    inside(part.header, *view);
    inside(part.body, *view);
    for (uint32_t c = 0; c < part.child_count; c++) {
      const uint32_t child = part.first_child + c;
      insist(child > i && child < view->part_count() && !has_parent[child]);
      has_parent[child] = true;
    }
  }
  insist(std::count(has_parent.begin(), has_parent.end(), false) == 1);

  std::vector<uint32_t> path;
  for (size_t i = 0; i < std::min<size_t>(size, 12); i++) {
    path.push_back(data[i] % 4U);
    for (const Section section : {Section::all, Section::header, Section::text, Section::mime})
      if (const auto range = view->locate(path, section)) inside(*range, *view);
  }
  const std::string_view spec(reinterpret_cast<const char*>(data), std::min<size_t>(size, 40));
  if (const auto range = view->locate(spec)) inside(*range, *view);
  static_cast<void>(view->sent_day());
  static_cast<void>(view->sent_time());
  return 0;
}
