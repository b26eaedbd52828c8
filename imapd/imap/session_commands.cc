// imapd/imap/session_commands.cc - one command: may it run, its answer, the messages that it names

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/imap/response.h"
#include "common/names/names.h"
#include "imapd/imap/session.h"

namespace rims::imapd {
namespace {

// A client with this many bad commands in a row is not a mail client.
constexpr unsigned kMaxBadInARow = 20;

}  // namespace

Task<void> Session::execute(Result<imap::Command> command, std::string tag) {
  commands_++;
  tag_in_work_ = tag;
  progress_told_ = Loop::now();
  if (!command) {
    answer(tag, nullptr, std::unexpected(command.error()));
    co_return;
  }
  const CommandRow& row = row_of(*command);
  const bool by_uid = command->by_uid;
  const bool expunges = may_tell_expunges(row, *command);
  log::debug(id(), "{} {}", tag, imap::name(*command));
  Result<Reply> reply = co_await perform(row, std::move(*command));
  if (given_back_) co_return;  // rims-login answers
  if (!said_bye_ && !(selected_ && selected_->mailbox->deleted())) {
    const Status told = co_await tell_news(expunges, by_uid);
    if (!told) reply = std::unexpected(told.error());
  }
  if (!said_bye_) tell_modseq(reply);
  answer(tag, &row, reply);
  if (std::exchange(compress_next_, false) && reply) {
    if (const Status told = co_await flush(); !told) ended_ = true;
    connection_.compress();
  }
  if (!said_bye_ && lost()) co_return;
  const Status passed = co_await drain();
  if (!passed) ended_ = true;
}

Task<Result<Reply>> Session::perform(const CommandRow& row, imap::Command command) {
  if (row.needs == Needs::logged_out) co_return fail(Fault::syntax, "already logged in");
  if (!row.run) co_return fail(Fault::syntax, "unknown command " + std::string(row.name));
  if (post_only() && !row.post_only)
    co_return fail(Fault::refused, "the delivery user may only APPEND", {}, "NOPERM");
  if (selected_ && selected_->mailbox->deleted()) {
    lost();
    co_return fail(Fault::not_found, "the selected mailbox was deleted", {}, "NONEXISTENT");
  }
  if (row.needs == Needs::selected && !selected_)
    co_return fail(Fault::syntax, "no mailbox is selected");
  if (row.changes_messages && selected_->read_only)
    co_return fail(Fault::refused, "the mailbox is open read-only", {}, "NOPERM");
  if (enabled(Extension::uidonly) && uses_numbers(command))
    co_return fail(Fault::syntax, "message numbers cannot be used after ENABLE UIDONLY", {},
                   "UIDREQUIRED");
  old_name_.reset();
  if (name_form() == imap::NameForm::utf8) compose_names(command.args);
  co_return co_await row.run(*this, std::move(command));
}

Task<Status> Session::tell_progress(uint64_t done, uint64_t goal) {
  const Milliseconds interval = host_.limits().progress;
  if (interval.count() == 0 || done >= goal || Loop::now() - progress_told_ < interval)
    co_return Status();
  progress_told_ = Loop::now();
  std::string code = "INPROGRESS (";
  imap::append_string(code, tag_in_work_);
  code += ' ';
  imap::append_number(code, done);
  code += ' ';
  imap::append_number(code, goal);
  imap::append_status(out(), "*", imap::Condition::ok, code + ')', "still at work");
  co_return co_await flush();
}

// Names in UTF-8 are Net-Unicode, so what is new is in NFC (RFC 9755 §3, RFC 9051 §5.1, RFC 5198
// §2). A name that is there, from a client of modified UTF-7, is found as it is.
void Session::compose_names(imap::Arguments& args) {
  const auto compose = [this](std::string& name) {
    if (account_->find(name) || account_->subscriptions().contains(name)) return false;
    std::string composed = names::composed(name);
    if (composed == name) return false;
    name = std::move(composed);
    return true;
  };
  std::visit(
      [&](auto& of) {
        if constexpr (requires { of.mailbox; }) {
          std::string supplied = of.mailbox;
          if (compose(of.mailbox)) old_name_ = std::move(supplied);
        }
        if constexpr (requires { of.from, of.to; }) {
          std::string supplied = of.from;
          const bool from = compose(of.from), to = compose(of.to);
          if (from || to) old_name_ = std::move(supplied);
        }
        if constexpr (requires { of.groups; })
          for (auto& group : of.groups) std::ranges::for_each(group.mailboxes, compose);
      },
      args);
}

void Session::answer(std::string_view tag, const CommandRow* row, const Result<Reply>& reply) {
  if (reply) {
    bad_in_a_row_ = 0;
    imap::append_status(out(), tag, imap::Condition::ok, reply->code, reply->text);
    return;
  }
  const Error& error = reply.error();
  const std::string_view command = row ? row->name : "input";
  std::string code = error.code();
  std::string text = error.reply();
  switch (error.fault()) {
    case Fault::peer_gone:
    case Fault::timeout:
      ended_ = true;
      return;
    case Fault::storage:
      log::error(id(), "{}: {}", command, error.detail());
      if (code.empty()) code = "UNAVAILABLE";
      break;
    case Fault::bug:
      log::error(id(), "{}: {}", command, error.detail());
      code = "SERVERBUG";
      text = "internal error, see the log";
      break;
    case Fault::syntax:
    case Fault::refused:
    case Fault::not_found:
    case Fault::limit:
      log::debug(id(), "{}: {}", command, error.detail());
      break;
  }
  const bool bad = error.fault() == Fault::syntax;
  imap::append_status(out(), tag, bad ? imap::Condition::bad : imap::Condition::no, code, text);
  bad_in_a_row_ = bad ? bad_in_a_row_ + 1 : 0;
  if (bad_in_a_row_ >= kMaxBadInARow) bye("too many bad commands");
}

Result<std::vector<uint32_t>> Session::resolve(const imap::SequenceSet& set, bool by_uid) {
  const View& view = selected_->view;
  const auto count = static_cast<uint32_t>(view.size());
  std::vector<uint32_t> indexes;
  if (set.saved) return view.indexes_of(selected_->saved);
  if (by_uid) {
    const Uid largest = count == 0 ? Uid(0) : view.uid_at(count - 1);
    for (const auto& range : imap::resolve(set, largest).ranges()) {
      size_t index = view.lower_bound(range.first);
      for (; index < count && view.uid_at(index) <= range.last; index++)
        indexes.push_back(static_cast<uint32_t>(index));
    }
    return indexes;
  }
  if (!imap::within(set, SeqNum(count))) return fail(Fault::syntax, "no message has that number");
  for (const auto& range : imap::resolve(set, SeqNum(count)).ranges())
    for (uint32_t number = range.first.value; number <= range.last.value; number++)
      indexes.push_back(number - 1);
  return indexes;
}

}  // namespace rims::imapd
