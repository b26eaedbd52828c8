// cli/ctl_dump.cc - rims-ctl dump: the records of a journal in readable form

#include <charconv>
#include <cstdio>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/ctl_account.h"
#include "cli/options.h"
#include "common/base/json.h"
#include "common/journal/reader.h"
#include "common/maintenance/backup_manifest.h"
#include "common/maintenance/inspect.h"

namespace rims::ctl {
namespace {

void print(const Json& line) { std::printf("%s\n", json_text(line).c_str()); }

Status dump_json(store::JournalReader& reader, uint64_t from) {
  return reader.visit({.segment = {},
                       .record =
                           [](const store::JournalRecord& record) {
                             const auto& h = record.header;
                             const auto& at = record.place.location;
                             print(Json{{"record", h.seq},
                                        {"time", h.time ? Json(store::utc_text(h.time)) : Json()},
                                        {"type", store::name(h.type)},
                                        {"text", store::describe(record)},
                                        {"segment", at.segment},
                                        {"offset", at.offset},
                                        {"batch_first", h.batch_first},
                                        {"batch_count", h.batch_count},
                                        {"flags", h.flags},
                                        {"meta_bytes", h.meta},
                                        {"aux_bytes", h.aux},
                                        {"body_bytes", h.body}});
                             return true;
                           },
                       .damage =
                           [](const store::JournalDamage& damage) {
                             print(Json{{"damage", damage.what},
                                        {"path", damage.path},
                                        {"offset", damage.offset},
                                        {"length", damage.length}});
                           },
                       .foreign = {}},
                      {.from = from, .thorough = true});
}

}  // namespace

int dump(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  bool json = false;
  uint64_t from = 1;
  std::string start;
  cli::OptionParser parser("rims-ctl dump [options] USER");
  add_common(parser, with);
  parser.add_value(0, "from", "NUMBER", "The first record to be shown.", start);
  parser.add_flag(0, "json", "One JSON object per record and line.", json);
  const auto operands = parser.parse(args);
  if (!operands) return complain("dump: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (!start.empty() && std::from_chars(start.data(), start.data() + start.size(), from).ptr !=
                            start.data() + start.size())
    return complain("dump: --from needs the number of a record", kUsage);
  if (operands->size() != 1) return complain("dump: need USER", kUsage);
  Accounts accounts;
  if (const int failed = find_accounts(with, operands->front(), false, accounts); failed != kDone)
    return failed;
  auto reader = open_journal(accounts.base, accounts.list.front().user, store::Owner::anybody);
  if (!reader) return complain(reader.error());
  const Status done = json ? dump_json(*reader, from)
                           : store::dump_journal(*reader, from, [](const std::string& line) {
                               std::printf("%s\n", line.c_str());
                             });
  return done ? kDone : complain(done.error());
}

}  // namespace rims::ctl
