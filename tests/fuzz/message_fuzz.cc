// tests/fuzz/message_fuzz.cc - any bytes as a message: its structure
//
// Promises   everything that tests/message/check.h lists, with the usual limits and with limits
//            that are reached everywhere; the answer depends on nothing but the bytes; a preview is
//            short and UTF-8

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/base/utf8.h"
#include "common/message/kept_fields.h"
#include "common/message/preview.h"
#include "common/message/structure.h"
#include "tests/message/check.h"

namespace {

using namespace rims::message;

void check(std::string_view message, const Limits& limits) {
  const std::string blob = make_structure(message, limits);
  std::string fault = structure_fault(message, blob);
  if (fault.empty()) fault = texts_fault(message, blob);
  if (fault.empty())
    fault = kept_fields_fault(message, blob, {"from", "Subject", "content-type", "list-id"},
                              {"", "a", "\xc3\xa4"});
  if (!fault.empty()) {
    std::fprintf(stderr, "%s\n", fault.c_str());
    std::abort();
  }
  if (make_structure(std::string(message), limits) != blob) std::abort();
  const auto view = StructureView::open(blob);
  const auto preview = KeptFields::open(view->fields())->preview();
  if (!preview || !rims::utf8::is_valid(*preview) || preview->size() > 4 * kMaxPreview)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  check(message, {});
  const auto n = static_cast<uint32_t>(size % 13);
  check(message, {.depth = n / 2 + 1,
                  .parts = n + 1,
                  .header_bytes = n * 20,
                  .all_header_bytes = n * 50,
                  .addresses = n,
                  .params = n / 3});
  return 0;
}
