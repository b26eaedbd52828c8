// tools/print_privsep.cc - prints the process table as the tables of doc/privsep.md
// (tools/printed_page.h says how it is called)

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "common/privdrop/process_table.h"
#include "tools/printed_page.h"

namespace {

using rims::privdrop::Row;
namespace calls = rims::privdrop::calls;

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
  for (const Row* row : rims::privdrop::kProcessTable)
    out += fmt::format("| `{}` | `{}`{} | {} | {} | {} | {} | {} | {} |\n", row->binary, row->user,
                       row->role == rims::ipc::Role::controller ? ", or whoever starts it"
                       : row->role == rims::ipc::Role::imapd    ? " (`process_privilege_user`)"
                                                                : "",
                       chroot_of(*row), files_of(*row), row->descriptors, row->links, row->may_not,
                       limits(*row));
  out += "\nSystem calls of every program but `rims-controller`:\n\n```\n";
  out += wrapped({calls::kBase.begin(), calls::kBase.end()});
  out += "```\n\nand besides these:\n\n";
  for (const Row* row : rims::privdrop::kProcessTable) {
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
  return rims::tools::printed_page(argc, argv, "print_privsep", table());
}
