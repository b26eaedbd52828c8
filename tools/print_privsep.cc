// tools/print_privsep.cc - prints the process table as the tables of doc/privsep.md
// (tools/printed_page.h says how it is called)

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "common/privdrop/process_table.h"
#include "tools/printed_page.h"

namespace {

using rims::privdrop::Row;
namespace calls = rims::privdrop::calls;

using rims::privdrop::Arg;
using rims::privdrop::Call;
using rims::privdrop::FileRights;
using rims::privdrop::Root;

// "socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)"
std::string as_text(const Call& call) {
  std::string conditions;
  for (const Arg& arg : call.args)
    if (arg.test != Arg::Test::any) {
      if (!conditions.empty()) conditions += ", ";
      conditions += arg.text;
    }
  if (call.error == EACCES) conditions = "answered with EACCES";
  return conditions.empty() ? call.name : fmt::format("{} ({})", call.name, conditions);
}

bool in_base(const Call& call) {
  return std::ranges::any_of(calls::kBase,
                             [&](const Call& other) { return as_text(call) == as_text(other); });
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

// Names that are allowed as they are, wrapped; then those with conditions, a line for each.
std::string listed(std::span<const Call> list) {
  std::vector<std::string> names, conditional;
  for (const Call& call : list) {
    std::string text = as_text(call);
    (text == call.name ? names : conditional).push_back(std::move(text));
  }
  std::ranges::sort(names);
  std::ranges::sort(conditional);
  std::string out = names.empty() ? "" : wrapped(names);
  for (const std::string& line : conditional) out += line + "\n";
  return out;
}

std::string limits(const Row& row) {
  std::string text;
  if (row.limits.open_files != 0) text += fmt::format("{} files", row.limits.open_files);
  if (row.limits.processes != 0)
    text += fmt::format("{}{} processes and threads of its user", text.empty() ? "" : ", ",
                        row.limits.processes);
  return text.empty() ? "as inherited" : text;
}

std::string root_of(const Row& row) {
  switch (row.root) {
    case Root::whole:
      break;
    case Root::empty:
      return "empty directory";
    case Root::files:
      return "the directory of its files";
  }
  return "none";
}

std::string files_of(const Row& row) {
  switch (row.files) {
    case FileRights::none:
      break;
    case FileRights::append_and_rotate:
      return "the log's directory: make, write, rename, remove files";
    case FileRights::keep:
      return "`base_dir`: make, read, write, truncate, rename, remove files; make directories";
  }
  return row.calls.empty() ? "any directory" : "none";
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
                       root_of(*row), files_of(*row), row->descriptors, row->links, row->may_not,
                       limits(*row));
  out += "\nSystem calls of every program but `rims-controller`:\n\n```\n";
  out += listed(calls::kBase);
  out += "```\n\nand besides these:\n\n";
  for (const Row* row : rims::privdrop::kProcessTable) {
    if (row->calls.empty()) {
      out += fmt::format("* `{}`: all; it is the one that gives the others their rights\n",
                         row->binary);
      continue;
    }
    std::vector<Call> more;
    for (const Call& call : row->calls)
      if (!in_base(call)) more.push_back(call);
    out += fmt::format("* `{}`:\n\n```\n{}```\n\n", row->binary, listed(more));
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  return rims::tools::printed_page(argc, argv, "print_privsep", table());
}
