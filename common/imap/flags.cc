// common/imap/flags.cc - comparison without ASCII case

#include "common/imap/flags.h"

#include "common/imap/chars.h"

namespace rims::imap {

bool equal_no_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++)
    if (upper(a[i]) != upper(b[i])) return false;
  return true;
}

}  // namespace rims::imap
