// imapd/imap/commands/uid_batches.cc - UIDBATCHES: ranges of UIDs with so many messages each
//
//   RFC  10022 §3.1; with a limit of messages (RFC 9738) no batch is larger than that
//
// The first batch has the newest messages. Where one ends the next one goes on, down to UID 1, so
// that no UID is between them.

#include <algorithm>
#include <utility>
#include <variant>

#include "common/imap/response.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

// Every server has to take batches of this size, and smaller ones need not be.
constexpr uint32_t kLeast = 500;

}  // namespace

Task<Result<Reply>> uid_batches(Session& session, imap::Command command) {
  const auto& args = std::get<imap::UidBatches>(command.args);
  const auto [wanted_first, wanted_last] =
      args.batches.value_or(std::pair<uint32_t, uint32_t>(1, UINT32_MAX));
  if (wanted_first > wanted_last)
    co_return fail(Fault::syntax, "the first batch is above the last one", {}, "CLIENTBUG");
  if (args.size < kLeast)
    co_return fail(Fault::refused, "a batch has at least " + std::to_string(kLeast) + " messages",
                   {}, "TOOFEW");
  const size_t size = std::min(args.size, session.message_limit().value_or(args.size));
  const std::span<const uint32_t> uids = session.selected().view.uids();
  const size_t batches = (uids.size() + size - 1) / size;
  // Where the batch with this number ends; the one before the first ends above all.
  const auto lowest = [&](size_t batch) {
    if (batch == 0) return uids.back() + 1;
    return batch == batches ? 1 : uids[uids.size() - batch * size];
  };

  std::string& out = session.out();
  out += "* UIDBATCHES (TAG ";
  imap::append_string(out, command.tag);
  out += ')';
  TimeSlice slice(session.host().loop());
  char before = ' ';
  for (size_t batch = wanted_first; batch <= std::min<size_t>(wanted_last, batches); batch++) {
    out += std::exchange(before, ',');
    imap::append_number(out, lowest(batch - 1) - 1);
    out += ':';
    imap::append_number(out, lowest(batch));
    if (session.drain_is_due()) {
      CO_TRY_STATUS(co_await session.drain());
    }
    if (slice.step()) co_await slice.spend();
  }
  out += "\r\n";
  co_return Reply{.text = "UIDBATCHES completed", .code = {}};
}

}  // namespace rims::imapd::commands
