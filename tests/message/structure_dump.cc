// tests/message/structure_dump.cc - prints what we say of messages, for compare_dovecot.py
//
//   structure_dump SECTION... < list
//
// The list has one file name per line. For each file: one "FILE size" line, then for ENVELOPE,
// BODY, BODYSTRUCTURE and each SECTION a line "name length" (or "name NIL") and so many bytes with
// a newline behind them. A SECTION is as in BODY[...]; HEADER.FIELDS (A B) and .NOT included.

#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "common/message/header.h"
#include "common/message/structure.h"

namespace {

using rims::message::StructureView;

void print(std::string_view name, std::optional<std::string_view> bytes) {
  if (!bytes) {
    std::cout << name << " NIL\n";
  } else {
    std::cout << name << ' ' << bytes->size() << '\n' << *bytes << '\n';
  }
}

// "1.2.HEADER.FIELDS.NOT (A B)"
void print_fields(std::string_view message, const StructureView& view, const std::string& section) {
  const size_t fields = section.find(".FIELDS");
  const bool all_but = section.find(".NOT") != std::string::npos;
  const size_t open = section.find('(');
  std::istringstream list(section.substr(open + 1, section.size() - open - 2));
  const std::vector<std::string> names{std::istream_iterator<std::string>(list), {}};
  const auto range = view.locate(section.substr(0, fields));
  if (!range) return print(section, std::nullopt);
  print(section, rims::message::select_fields(range->of(message), names, all_but));
}

}  // namespace

int main(int argc, char** argv) {
  for (std::string file; std::getline(std::cin, file);) {
    std::ifstream in(file, std::ios::binary);
    const std::string message{std::istreambuf_iterator<char>(in), {}};
    const std::string blob = rims::message::make_structure(message);
    const auto view = StructureView::open(blob);
    if (!view) {
      std::cerr << file << ": " << view.error().detail() << '\n';
      return 1;
    }
    std::cout << "FILE " << message.size() << '\n';
    print("ENVELOPE", view->envelope());
    print("BODY", view->body());
    print("BODYSTRUCTURE", view->bodystructure());
    for (int i = 1; i < argc; i++) {
      const std::string section = argv[i];
      if (section.find(".FIELDS") != std::string::npos) {
        print_fields(message, *view, section);
      } else if (const auto range = view->locate(section)) {
        print(section, range->of(message));
      } else {
        print(section, std::nullopt);
      }
    }
  }
  return 0;
}
