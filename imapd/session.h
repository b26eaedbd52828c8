// imapd/session.h - one logged-in client: its state, its commands in order, its output
//
//   RFC      3501 §3 (states), §5.2 (unsolicited data), §5.4 (autologout), §5.5 (pipelining), §7;
//            5530 (response codes)
//   Runs in  rims-imapd, one coroutine per session; the bytes of the client are not trusted
//   Talks to the store's Account (shared by all sessions of the user) and to its own socket
//
// Invariants
//   1. Commands run one after the other, in the order of their arrival; so do the answers.
//   2. Nothing is told before it is durable: the store tells its listeners afterwards.
//   3. Errors become BAD or NO in one place, answer(); their detail is logged there, once.
//   4. A session holds no more output than the stream's high-water mark and one piece.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/async/stream.h"
#include "common/base/fd.h"
#include "common/imap/command.h"
#include "common/imap/reader.h"
#include "common/store/account.h"
#include "imapd/command_table.h"
#include "imapd/view.h"
#include "imapd/wake.h"

namespace rims::imapd {

class Worker;

// A client as rims-login hands it over, with what rims-auth said about it.
struct Client {
  Fd socket;
  std::string user;
  bool post_only = false;
  std::string tag;     // of the command that logged in
  std::string unread;  // what came after that command
  std::string address;
  bool over_tls = false;
  std::string id;  // for the log
};

// The mailbox that SELECT or EXAMINE opened.
struct Selected {
  std::shared_ptr<const store::Mailbox> mailbox;
  View view;
  bool read_only = false;
  size_t told_keywords = 0;  // how many of mailbox->keywords() the client was told of

  [[nodiscard]] MailboxId id() const { return mailbox->info().id; }
};

class Session final : private store::Listener {
 public:
  Session(Worker& worker, Client client);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() override;

  // The whole life of the session. Run once.
  Task<void> run();
  // The worker ends: say BYE as soon as the command in work is done.
  void stop();

  // --- for the commands ---
  [[nodiscard]] Worker& worker() { return worker_; }
  [[nodiscard]] store::Account& account() { return *account_; }
  [[nodiscard]] const std::shared_ptr<store::Account>& shared_account() { return account_; }
  [[nodiscard]] const std::string& id() const { return client_.id; }
  [[nodiscard]] const std::string& user() const { return client_.user; }
  [[nodiscard]] bool post_only() const { return client_.post_only; }
  // Only for commands that need a selected mailbox.
  [[nodiscard]] Selected& selected() { return *selected_; }
  [[nodiscard]] bool has_selected() const { return selected_.has_value(); }
  void select(Selected mailbox) { selected_ = std::move(mailbox); }
  void unselect() { selected_.reset(); }
  // What the store is given as `origin`, to know our own changes again.
  [[nodiscard]] const void* origin() const { return this; }

  // Lines for the client, to be passed on by drain() or at the end of the command.
  [[nodiscard]] std::string& out() { return out_; }
  // Passes output on when there is a good piece of it; waits while the client does not read.
  Task<Status> drain();
  // Cheap, so that a loop over messages asks before it awaits.
  [[nodiscard]] bool drain_is_due() const;
  Task<Status> flush();
  // A piece of a response that is too large for out(): follows what is in out().
  Task<Status> pass(std::string bytes);
  // How often pass() was called: what was in out() before it cannot be taken back.
  [[nodiscard]] uint64_t passed() const { return passed_; }
  // Says BYE, and ends the session after the tagged answer.
  void bye(std::string_view text, std::string_view code = {});

  // The sequence numbers or UIDs of a command as indexes into the view, ascending. A number that
  // names no message is an error, a UID that names none is left out (RFC 3501 §6.4.8).
  [[nodiscard]] Result<std::vector<uint32_t>> resolve(const imap::SequenceSet& set, bool by_uid);

  [[nodiscard]] std::string capabilities() const;
  // Makes \Recent what no session was told of before, up to `last`, which the client is told now.
  void claim_recent(Uid first, Uid last);
  // FLAGS and PERMANENTFLAGS, when there are keywords that the client was not told of.
  void tell_keywords();
  // `* n FETCH (FLAGS (...))` with the flags of now; nothing when the message is gone.
  void tell_flags(Uid uid, bool with_uid);
  // Everything that is new in the mailbox, as far as it may be told now.
  Task<Status> tell_news(bool expunges, bool with_uid);

  // IDLE: tells news as it comes until the client says DONE.
  Task<Result<Reply>> idle();

 private:
  // store::Listener
  void appended(MailboxId, std::span<const Uid>, const void*) override;
  void flags_changed(MailboxId, std::span<const Uid>, ModSeq, const void*) override;
  void expunged(MailboxId, std::span<const Uid>, ModSeq, const void*) override;
  void mailboxes_changed() override;
  void account_failed(const Error&) override;

  Task<bool> open();
  Task<void> serve();
  Task<void> execute(Result<imap::Command> command, std::string tag);
  Task<Result<Reply>> perform(const CommandRow& row, imap::Command command);
  void answer(std::string_view tag, const CommandRow* row, const Result<Reply>& reply);
  // Waits for bytes of the client. False: the session is over, and BYE was said if it could be.
  Task<bool> wait_for_bytes();
  // True when the selected mailbox or the account went away under the session.
  bool lost();
  void news();

  Worker& worker_;
  Client client_;
  Stream stream_;
  Wake wake_;
  imap::Reader reader_;
  std::shared_ptr<store::Account> account_;  // shared with the user's other sessions and the store
  std::optional<Selected> selected_;
  std::string out_;
  bool ended_ = false;
  bool said_bye_ = false;
  bool idling_ = false;
  unsigned bad_in_a_row_ = 0;
  std::chrono::steady_clock::time_point last_input_ = Loop::now();
  uint64_t commands_ = 0, passed_ = 0;
};

}  // namespace rims::imapd
