// imapd/imap/command_table.cc - one row per command, in the order of imap::Arguments

#include "imapd/imap/command_table.h"

#include <algorithm>
#include <concepts>
#include <type_traits>
#include <variant>

namespace rims::imapd {
namespace {

template <class Command>
struct RowOf {
  CommandRow row;
};

// A row names its command's type, so that its place in imap::Arguments does not matter here.
// Columns: needs, uses numbers, changes messages, post-only, handler.
constexpr auto kRows = std::tuple{
    RowOf<imap::Noop>{{"NOOP", Needs::nothing, false, false, true, commands::noop}},
    RowOf<imap::Capability>{
        {"CAPABILITY", Needs::nothing, false, false, true, commands::capability}},
    RowOf<imap::Logout>{{"LOGOUT", Needs::nothing, false, false, true, commands::logout}},
    RowOf<imap::Id>{{"ID", Needs::nothing, false, false, true, commands::id}},
    RowOf<imap::Starttls>{{"STARTTLS", Needs::logged_out, false, false, false, nullptr}},
    RowOf<imap::Authenticate>{{"AUTHENTICATE", Needs::logged_out, false, false, false, nullptr}},
    RowOf<imap::Login>{{"LOGIN", Needs::logged_out, false, false, false, nullptr}},
    RowOf<imap::Enable>{{"ENABLE", Needs::login, false, false, false, commands::enable}},
    RowOf<imap::Select>{{"SELECT", Needs::login, false, false, false, commands::select}},
    RowOf<imap::Examine>{{"EXAMINE", Needs::login, false, false, false, commands::examine}},
    RowOf<imap::Create>{{"CREATE", Needs::login, false, false, false, commands::create}},
    RowOf<imap::Delete>{{"DELETE", Needs::login, false, false, false, commands::remove}},
    RowOf<imap::Rename>{{"RENAME", Needs::login, false, false, false, commands::rename}},
    RowOf<imap::Subscribe>{{"SUBSCRIBE", Needs::login, false, false, false, commands::subscribe}},
    RowOf<imap::Unsubscribe>{
        {"UNSUBSCRIBE", Needs::login, false, false, false, commands::unsubscribe}},
    RowOf<imap::List>{{"LIST", Needs::login, false, false, false, commands::list}},
    RowOf<imap::Lsub>{{"LSUB", Needs::login, false, false, false, commands::lsub}},
    RowOf<imap::StatusQuery>{{"STATUS", Needs::login, false, false, false, commands::status}},
    RowOf<imap::Append>{{"APPEND", Needs::login, false, false, true, commands::append}},
    RowOf<imap::Namespace>{{"NAMESPACE", Needs::login, false, false, false, commands::name_space}},
    RowOf<imap::Idle>{{"IDLE", Needs::login, false, false, false, commands::idle}},
    RowOf<imap::Check>{{"CHECK", Needs::selected, false, false, false, commands::check}},
    // CLOSE of an examined mailbox is fine: it removes nothing (RFC 3501 §6.4.2).
    RowOf<imap::Close>{{"CLOSE", Needs::selected, false, false, false, commands::close}},
    RowOf<imap::Unselect>{{"UNSELECT", Needs::selected, false, false, false, commands::unselect}},
    RowOf<imap::Expunge>{{"EXPUNGE", Needs::selected, false, true, false, commands::expunge}},
    RowOf<imap::Search>{{"SEARCH", Needs::selected, true, false, false, commands::search}},
    RowOf<imap::Sort>{{"SORT", Needs::selected, true, false, false, commands::sort}},
    RowOf<imap::Thread>{{"THREAD", Needs::selected, true, false, false, commands::thread}},
    RowOf<imap::Fetch>{{"FETCH", Needs::selected, true, false, false, commands::fetch}},
    RowOf<imap::Store>{{"STORE", Needs::selected, true, true, false, commands::store}},
    // EXPUNGE may be sent during COPY (RFC 3501 §7.4.1 names only FETCH, STORE and SEARCH): its own
    // numbers are resolved before that.
    RowOf<imap::Copy>{{"COPY", Needs::selected, false, false, false, commands::copy}},
    RowOf<imap::Move>{{"MOVE", Needs::selected, false, true, false, commands::move}},
    // As COPY: its one number is resolved first.
    RowOf<imap::Replace>{{"REPLACE", Needs::selected, false, true, false, commands::replace}},
    RowOf<imap::UidBatches>{
        {"UIDBATCHES", Needs::selected, false, false, false, commands::uid_batches}},
    RowOf<imap::GetQuota>{{"GETQUOTA", Needs::login, false, false, false, commands::get_quota}},
    RowOf<imap::GetQuotaRoot>{
        {"GETQUOTAROOT", Needs::login, false, false, false, commands::get_quota_root}},
    RowOf<imap::Unauthenticate>{
        {"UNAUTHENTICATE", Needs::login, false, false, true, commands::unauthenticate}},
    RowOf<imap::SetQuota>{{"SETQUOTA", Needs::login, false, false, false, commands::set_quota}},
    RowOf<imap::Notify>{{"NOTIFY", Needs::login, false, false, false, commands::notify}},
    RowOf<imap::Xlist>{{"XLIST", Needs::login, false, false, false, commands::xlist}},
    RowOf<imap::Compress>{{"COMPRESS", Needs::login, false, false, true, commands::compress}},
    RowOf<imap::GetMetadata>{
        {"GETMETADATA", Needs::login, false, false, false, commands::get_metadata}},
    RowOf<imap::SetMetadata>{
        {"SETMETADATA", Needs::login, false, false, false, commands::set_metadata}},
};

template <size_t Index>
constexpr const CommandRow& row_for() {
  return std::get<RowOf<std::variant_alternative_t<Index, imap::Arguments>>>(kRows).row;
}

template <size_t... Index>
constexpr auto pointers(std::index_sequence<Index...>) {
  return std::array<const CommandRow*, sizeof...(Index)>{&row_for<Index>()...};
}

constexpr auto kByIndex = pointers(std::make_index_sequence<kCommandRows>());

bool has_numbers(const imap::SearchKey& key) {
  return key.kind == imap::SearchKey::Kind::sequence || std::ranges::any_of(key.keys, has_numbers);
}

// The same, but `$` is none of them.
bool writes_numbers(const imap::SearchKey& key) {
  return (key.kind == imap::SearchKey::Kind::sequence && !key.set.saved) ||
         std::ranges::any_of(key.keys, writes_numbers);
}

template <class Args>
bool names_messages(const Args& args) {
  if constexpr (std::is_same_v<Args, imap::Replace>) return true;
  if constexpr (requires {
                  { args.messages } -> std::same_as<const imap::SequenceSet&>;
                })
    return true;
  return false;
}

template <class Args>
bool matches_numbers(const Args& args) {
  if constexpr (requires { args.parameters.resync->match; })
    return args.parameters.resync && args.parameters.resync->match;
  return false;
}

}  // namespace

const CommandRow& row_at(size_t index) { return *kByIndex[index]; }
bool may_tell_expunges(const CommandRow& row, const imap::Command& command) {
  if (!row.uses_numbers) return true;
  if (!command.by_uid) return false;
  const imap::Search* search = imap::criteria(command);
  return !search || !has_numbers(search->key);
}

bool uses_numbers(const imap::Command& command) {
  if (const imap::Search* search = imap::criteria(command))
    return !command.by_uid || writes_numbers(search->key);
  return std::visit(
      [&](const auto& args) {
        return (names_messages(args) && !command.by_uid) || matches_numbers(args);
      },
      command.args);
}

const CommandRow& row_of(const imap::Command& command) { return row_at(command.args.index()); }

}  // namespace rims::imapd
