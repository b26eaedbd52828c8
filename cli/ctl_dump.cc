// cli/ctl_dump.cc - rims-ctl dump: the records of a journal in readable form

#include <charconv>
#include <cstdio>
#include <string>

#include "cli/ctl_account.h"
#include "cli/options.h"
#include "common/base/json.h"
#include "common/store/backup_manifest.h"
#include "common/store/inspect.h"
#include "common/store/reader.h"

namespace rims::ctl {
namespace {

void print(const Json& line) { std::printf("%s\n", line.dump().c_str()); }

Status dump_json(store::JournalReader& reader, uint64_t from) {
  return reader.visit(
      {.segment = {},
       .record =
           [](const store::JournalRecord& record) {
             const auto& h = record.header;
             const auto& at = record.place.location;
             print(Json(Json::Object{{"record", Json(h.seq)},
                                     {"time", h.time ? Json(store::utc_text(h.time)) : Json()},
                                     {"type", Json(store::name(h.type))},
                                     {"text", Json(store::describe(h.type, record.meta))},
                                     {"segment", Json(at.segment)},
                                     {"offset", Json(at.offset)},
                                     {"batch_first", Json(h.batch_first)},
                                     {"batch_count", Json(h.batch_count)},
                                     {"flags", Json(h.flags)},
                                     {"meta_bytes", Json(h.meta)},
                                     {"aux_bytes", Json(h.aux)},
                                     {"body_bytes", Json(h.body)}}));
             return true;
           },
       .damage =
           [](const store::JournalDamage& damage) {
             print(Json(Json::Object{{"damage", Json(damage.what)},
                                     {"path", Json(damage.path)},
                                     {"offset", Json(damage.offset)},
                                     {"length", Json(damage.length)}}));
           },
       .foreign = {}},
      {.from = from, .thorough = true});
}

}  // namespace

int dump(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  bool help = false, json = false;
  uint64_t from = 1;
  std::string start;
  cli::OptionParser parser("rims-ctl dump [options] USER");
  parser.add_flag('h', "help", "Show this message.", help);
  parser.add_value('c', "config", "FILE", "The configuration.", with.config);
  parser.add_value(0, "from", "NUMBER", "The first record to be shown.", start);
  parser.add_flag(0, "json", "One JSON object per record and line.", json);
  const auto operands = parser.parse(args);
  if (!operands) return complain("dump: " + operands.error().reply(), kUsage);
  if (help) {
    std::fputs(parser.help().c_str(), stdout);
    return kDone;
  }
  if (!start.empty() && std::from_chars(start.data(), start.data() + start.size(), from).ptr !=
                            start.data() + start.size())
    return complain("dump: --from needs the number of a record", kUsage);
  if (operands->size() != 1) return complain("dump: need USER", kUsage);
  Accounts accounts;
  if (const int failed = find_accounts(with, operands->front(), false, accounts); failed != kDone)
    return failed;
  auto reader = store::JournalReader::open(accounts.base, operands->front());
  if (!reader && reader.error().fault() == Fault::not_found)
    return complain(operands->front() + " has no account: " + reader.error().detail(), kFailed);
  if (!reader) return complain(reader.error());
  const Status done = json ? dump_json(*reader, from)
                           : store::dump_journal(*reader, from, [](const std::string& line) {
                               std::printf("%s\n", line.c_str());
                             });
  return done ? kDone : complain(done.error());
}

}  // namespace rims::ctl
