// tools/print_privsep.cc - prints the process table as the tables of doc/privsep.md
//
//   print_privsep             prints them
//   print_privsep --check F   status 1 when F does not hold exactly these between its marks
//   print_privsep --update F  writes them between the marks of F

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "controller/process_table.h"

namespace {

using rims::privdrop::Row;
namespace calls = rims::controller::calls;

constexpr std::string_view kBegin = "<!-- printed by tools/print_privsep: begin -->\n";
constexpr std::string_view kEnd = "<!-- printed by tools/print_privsep: end -->\n";

bool in_base(std::string_view call) {
  return std::ranges::find(calls::kBase, call) != calls::kBase.end();
}

std::string wrapped(const std::vector<std::string>& words) {
  std::string out, line;
  for (const std::string& word : words) {
    if (line.size() + word.size() + 1 > 96) {
      out += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return out + line + "\n";
}

std::string limits(const Row& row) {
  std::string text;
  if (row.limits.open_files != 0) text += fmt::format("{} files", row.limits.open_files);
  if (row.limits.processes != 0)
    text += fmt::format("{}{} processes and threads of its user", text.empty() ? "" : ", ",
                        row.limits.processes);
  return text.empty() ? "as inherited" : text;
}

std::string chroot_of(const Row& row) {
  return std::string_view(row.chroot) == "empty" ? "empty directory" : "none";
}

std::string files_of(const Row& row) {
  const std::string_view files = row.files;
  return files == "log"         ? "the log's directory"
         : files == "base"      ? "`base_dir`"
         : row.syscalls.empty() ? "any directory"
                                : "none";
}

std::string table() {
  std::string out =
      "| program | runs as | locked into | files of | holds | links | may not | limits |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const Row* row : rims::controller::kProcessTable)
    out += fmt::format("| `{}` | `{}`{} | {} | {} | {} | {} | {} | {} |\n", row->binary, row->user,
                       row->role == rims::ipc::Role::controller ? ", or whoever starts it"
                       : row->role == rims::ipc::Role::imapd    ? " (`process_privilege_user`)"
                                                                : "",
                       chroot_of(*row), files_of(*row), row->descriptors, row->links, row->may_not,
                       limits(*row));
  out += "\nSystem calls of every program but `rims-controller`:\n\n```\n";
  out += wrapped({calls::kBase.begin(), calls::kBase.end()});
  out += "```\n\nand besides these:\n\n";
  for (const Row* row : rims::controller::kProcessTable) {
    if (row->syscalls.empty()) {
      out += fmt::format("* `{}`: all; it is the one that gives the others their rights\n",
                         row->binary);
      continue;
    }
    std::vector<std::string> more;
    for (const char* call : row->syscalls)
      if (!in_base(call)) more.emplace_back(call);
    std::ranges::sort(more);
    more.erase(std::ranges::unique(more).begin(), more.end());
    out += fmt::format("* `{}`:\n\n```\n{}```\n\n", row->binary, wrapped(more));
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string printed = table();
  if (argc == 1) {
    std::fputs(printed.c_str(), stdout);
    return 0;
  }
  const std::string_view option = argv[1];
  if (argc != 3 || (option != "--check" && option != "--update")) {
    std::fputs("usage: print_privsep [--check FILE | --update FILE]\n", stderr);
    return 64;
  }
  std::ifstream in(argv[2]);
  std::stringstream all;
  all << in.rdbuf();
  const std::string text = all.str();
  const size_t begin = text.find(kBegin), end = text.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin) {
    std::fprintf(stderr, "%s: the marks are missing\n", argv[2]);
    return 1;
  }
  const size_t from = begin + kBegin.size();
  if (option == "--update") {
    std::ofstream(argv[2]) << text.substr(0, from) << printed << text.substr(end);
    return 0;
  }
  if (text.substr(from, end - from) == printed) return 0;
  std::fprintf(stderr, "%s is not what the process table says; run print_privsep --update %s\n",
               argv[2], argv[2]);
  return 1;
}
