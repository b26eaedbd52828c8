// tools/printed_page.h - a page of doc/ that has a part printed by a program
//
//   print_NAME             prints it
//   print_NAME --check F   status 1 when F does not hold exactly this between its marks
//   print_NAME --update F  writes it between the marks of F
#pragma once

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include <fmt/core.h>

namespace rims::tools {

// The main function of such a program.
inline int printed_page(int argc, char** argv, const std::string& name,
                        const std::string& printed) {
  if (argc == 1) {
    std::fputs(printed.c_str(), stdout);
    return 0;
  }
  const std::string_view option = argv[1];
  if (argc != 3 || (option != "--check" && option != "--update")) {
    std::fputs(fmt::format("usage: {} [--check FILE | --update FILE]\n", name).c_str(), stderr);
    return 64;
  }
  const std::string begin_mark = fmt::format("<!-- printed by tools/{}: begin -->\n", name);
  std::ifstream in(argv[2]);
  std::stringstream all;
  all << in.rdbuf();
  const std::string text = all.str();
  const size_t begin = text.find(begin_mark);
  const size_t end = text.find(fmt::format("<!-- printed by tools/{}: end -->\n", name));
  if (begin == std::string::npos || end == std::string::npos || end < begin) {
    std::fprintf(stderr, "%s: the marks are missing\n", argv[2]);
    return 1;
  }
  const size_t from = begin + begin_mark.size();
  if (option == "--update") {
    std::ofstream(argv[2]) << text.substr(0, from) << printed << text.substr(end);
    return 0;
  }
  if (text.substr(from, end - from) == printed) return 0;
  std::fprintf(stderr, "%s is not what the headers say; run %s --update %s\n", argv[2],
               name.c_str(), argv[2]);
  return 1;
}

}  // namespace rims::tools
