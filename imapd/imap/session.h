// imapd/imap/session.h - one logged-in client: its state, its commands in order, its output
//
//   RFC      3501 §3 (states), §5.2 (unsolicited data), §5.4 (autologout), §5.5 (pipelining), §7;
//            5530 (response codes); 5465 (NOTIFY)
//   Runs in  rims-imapd, one coroutine per session; the bytes of the client are not trusted
//   Talks to the store's Account (shared by all sessions of the user) and to its own socket
//
// Invariants
//   1. Commands run one after the other, in the order of their arrival; so do the answers.
//   2. Nothing is told before it is durable: the store tells its listeners afterwards.
//   3. Errors become BAD or NO in one place, answer(); their detail is logged there, once.
//   4. A session holds little output (output.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/account/account.h"
#include "common/imap/capabilities.h"
#include "common/imap/command.h"
#include "common/imap/reader.h"
#include "common/imap/response.h"
#include "imapd/imap/command_table.h"
#include "imapd/imap/extensions.h"
#include "imapd/imap/notifications.h"
#include "imapd/imap/output.h"
#include "imapd/imap/view.h"
#include "imapd/session/connection.h"
#include "imapd/session/session_host.h"
#include "imapd/session/wake.h"

namespace rims::imapd {

// The mailbox that SELECT or EXAMINE opened.
struct Selected {
  std::shared_ptr<const store::Mailbox> mailbox;
  View view;
  bool read_only = false;
  size_t told_keywords = 0;  // how many of mailbox->keywords() the client was told of
  // `$` (RFC 5182): of what the view holds, the UIDs in these ranges. Between them may be UIDs that
  // no message of the view has; those that are expunged need not be taken out.
  imap::NumberSet<Uid> saved;
  // What a client that follows RFC 7162 §6 has for HIGHESTMODSEQ since the last tagged answer, and
  // the highest MODSEQ that it was sent after that.
  ModSeq known_modseq, sent_modseq;

  [[nodiscard]] MailboxId id() const { return mailbox->info().id; }
  // The highest HIGHESTMODSEQ with which the client has missed nothing, should the connection end
  // now.
  [[nodiscard]] ModSeq safe_modseq() const;
};

class Session final : public HostedSession, private store::Listener {
 public:
  Session(SessionHost& host, Client client);
  ~Session() override;

  Task<void> run() override;
  void stop(std::string_view why) override;
  void server_entries_changed(const std::vector<std::string>& names) override;
  [[nodiscard]] Activity activity() const override;

  // --- for the commands ---
  [[nodiscard]] SessionHost& host() { return host_; }
  [[nodiscard]] store::Account& account() { return *account_; }
  [[nodiscard]] const std::shared_ptr<store::Account>& shared_account() { return account_; }
  [[nodiscard]] const std::string& id() const { return client_.id; }
  [[nodiscard]] const std::string& user() const { return client_.user; }
  [[nodiscard]] bool post_only() const { return client_.post_only; }
  [[nodiscard]] bool enabled(Extension extension) const { return extensions_.has(extension); }
  // By ENABLE, or by a command that enables CONDSTORE (RFC 7162 §3.1).
  void enable(Extension extension);
  // How mailbox names are written to this client.
  [[nodiscard]] imap::NameForm name_form() const {
    const bool utf8 = enabled(Extension::utf8_accept) || enabled(Extension::imap4rev2);
    return utf8 ? imap::NameForm::utf8 : imap::NameForm::modified_utf7;
  }
  // The name of the mailbox that the command in work is about, as the client wrote it, when it was
  // taken in another form (RFC 9051 §6.3.9.7).
  [[nodiscard]] const std::optional<std::string>& old_name() const { return old_name_; }
  // Whether ENABLED has to name it.
  bool announce_enabled(Extension extension) { return extensions_.announce(extension); }
  // Tells the client how far the command in work has come, at once, but seldom (RFC 9585). `done`
  // only grows while the command is in work. Not while a response is half written. Error:
  // peer_gone.
  Task<Status> tell_progress(uint64_t done, uint64_t goal);
  // True once, for the warning that there is more than the quota allows.
  bool warns_of_quota() { return !std::exchange(warned_of_quota_, true); }
  // By ID (RFC 2971).
  void call_client(std::string name) { client_name_ = std::move(name); }
  // What it called itself last, or "".
  [[nodiscard]] const std::string& client_name() const {
    return client_name_.empty() ? client_.client : client_name_;
  }
  // False for what the administrator has disabled for this client.
  [[nodiscard]] bool announces(std::string_view capability) const;
  // Only for commands that need a selected mailbox.
  [[nodiscard]] Selected& selected() { return *selected_; }
  [[nodiscard]] bool has_selected() const { return selected_.has_value(); }
  void select(Selected mailbox);
  void unselect();
  // `$` is this from now on. limit NOTSAVED, and `$` is empty, when it is too much beside what the
  // user's other sessions hold.
  Status save_result(imap::NumberSet<Uid> found);
  // limit LIMIT when a mailbox with so many messages is too much beside what the user's other
  // sessions have selected.
  [[nodiscard]] Status room_to_view(size_t messages) const;
  // Given to the store as `origin`, to recognise our own changes.
  [[nodiscard]] const void* origin() const { return this; }

  // See Output.
  [[nodiscard]] std::string& out() { return output_.text(); }
  Task<Status> drain() { return output_.drain(); }
  [[nodiscard]] bool drain_is_due() const { return output_.drain_is_due(); }
  Task<Status> flush() { return output_.flush(); }
  Task<Status> pass(std::string bytes) { return output_.pass(std::move(bytes)); }
  [[nodiscard]] uint64_t passed() const { return output_.passed(); }
  // COMPRESS (RFC 4978): begins behind the OK of the command in work.
  [[nodiscard]] bool compressed() const { return connection_.compressed(); }
  void compress() { compress_next_ = true; }
  // Says BYE, and ends the session after the tagged answer.
  void bye(std::string_view text, std::string_view code = {});

  // The sequence numbers or UIDs of a command as indexes into the view, ascending. A number that
  // names no message is an error, a UID that names none is left out (RFC 3501 §6.4.8). Of `$`,
  // those that are not expunged (RFC 5182 §2.1).
  [[nodiscard]] Result<std::vector<uint32_t>> resolve(const imap::SequenceSet& set, bool by_uid);

  [[nodiscard]] std::string capabilities() const;
  // Bytes of one message (RFC 7889): what this session's reader takes.
  [[nodiscard]] uint64_t append_limit() const { return reader_.limits().message_bytes; }
  // How many messages one command may work on, and APPEND or COPY bring into a mailbox (RFC 9738).
  [[nodiscard]] std::optional<uint32_t> message_limit() const { return message_limit_; }
  [[nodiscard]] std::optional<uint32_t> save_limit() const { return save_limit_; }
  // Makes the messages up to `last`, which the client is told of now, \Recent if no session was
  // told of them before.
  void claim_recent(Uid first, Uid last);
  // Sends FLAGS and PERMANENTFLAGS when there are keywords that the client does not know.
  void tell_keywords();
  // "* 12 FETCH (", or with UIDONLY "* 4711 UIDFETCH (" (RFC 9586 §3.3).
  void append_fetch_head(Uid uid);
  // Sends `* n FETCH (FLAGS (...))` with the current flags; nothing when the message is gone. To a
  // client that uses CONDSTORE with UID and MODSEQ, or these two alone (RFC 7162 §3.2.4); to one of
  // IMAP4rev2 with UID (RFC 9051 §7.5.2).
  enum class Tell : uint8_t { flags, modseq_only };
  void tell_flags(Uid uid, bool with_uid, Tell what = Tell::flags);
  // A response has named this MODSEQ.
  void sent_modseq(ModSeq modseq);
  // Sends everything that is new, as far as it is wanted and may be sent now.
  Task<Status> tell_news(bool expunges, bool with_uid);

  // NOTIFY (RFC 5465): what is told from now on, also while no command is in work.
  void notify(std::unique_ptr<Notifications> wanted);
  // What is new in the selected mailbox.
  enum class Which : uint8_t { wanted, all };
  Task<Status> tell_selected(Which which, bool expunges, bool with_uid);
  // STATUS of each mailbox of whose messages is told, but the selected one.
  Task<Status> tell_statuses();

  // Gives the client back: it may log in again. When that is done the session is over, and nothing
  // more may be said. Errors as SessionHost::give_back(), and refused CANNOT with COMPRESS.
  Task<Status> unauthenticate(std::string tag);

  // IDLE: sends news as it comes until the client says DONE.
  Task<Result<Reply>> idle();

 private:
  // store::Listener
  void appended(MailboxId, std::span<const Uid>, const void*) override;
  void flags_changed(MailboxId, std::span<const Uid>, ModSeq, const void*) override;
  void expunged(MailboxId, std::span<const Uid>, ModSeq, const void*) override;
  void mailbox_changed(const store::Change& change, const void* origin) override;
  void annotated(const store::Change& change, const void* origin) override;
  void account_failed(const Error&) override;

  [[nodiscard]] std::string what_it_used() const;
  Task<bool> open();
  Task<void> serve();
  Task<void> execute(Result<imap::Command> command, std::string tag);
  Task<Result<Reply>> perform(const CommandRow& row, imap::Command command);
  void save_nothing(const Error& refused);
  void compose_names(imap::Arguments& args);
  void answer(std::string_view tag, const CommandRow* row, const Result<Reply>& reply);
  // Waits for bytes of the client. False: the session is over, and BYE was sent if possible.
  Task<bool> wait_for_bytes();
  bool take_bytes();
  // True, and BYE is sent, when the worker wants the session to end, or when the selected mailbox
  // was deleted or the account closed.
  bool stopped();
  bool lost();
  // Something is new in the selected mailbox, and `wanted` by NOTIFY if there was one.
  void news(bool wanted, const void* origin);
  // ... in another one: `event` (imap::Notify::Event).
  void news_elsewhere(MailboxId mailbox, uint16_t event, const void* origin);
  void append_status_news(const store::MailboxInfo& info, bool names_modseq);
  Task<Status> tell_arrived();
  Task<Status> tell_others();
  // Are changes of its annotations told, by NOTIFY or else by ENABLE METADATA? 0: the server.
  [[nodiscard]] bool tells_entries(MailboxId mailbox) const;
  void note_entries(MailboxId mailbox, const std::vector<std::string>& names);
  Task<Status> tell_entries();
  // Sets the HIGHESTMODSEQ of the client right, in the tagged answer or before it, when what it was
  // sent has not done that, or `reply` asks for it. No await may come between this and the answer.
  void tell_modseq(Result<Reply>& reply);
  std::optional<ModSeq> modseq_to_tell(bool must);
  // What the host is told that this session has selected: its messages, and the numbers of `$`.
  void count_viewed(uint64_t messages);
  [[nodiscard]] uint64_t saved_numbers() const {
    return selected_ ? 2 * selected_->saved.ranges().size() : 0;
  }

  SessionHost& host_;
  Client client_;
  Connection connection_;
  Output output_{connection_};
  Wake wake_;
  TimeSlice input_slice_;  // for compressed input, which comes without a wait
  imap::Reader reader_;
  std::optional<uint32_t> message_limit_, save_limit_;
  std::shared_ptr<store::Account> account_;  // shared with the user's other sessions and the store
  std::optional<Selected> selected_;
  std::optional<std::string> stop_reason_;
  std::string client_name_;
  Extensions extensions_;
  std::optional<std::string> old_name_;
  // Annotations that others have changed and the client was not told of (RFC 5464 §4.4.2); of the
  // server, for mailbox 0.
  std::map<MailboxId, std::set<std::string>> changed_entries_;
  size_t changed_entry_count_ = 0;
  std::unique_ptr<Notifications> notifications_;  // none before the first NOTIFY
  bool own_change_ = false;     // the client has added or removed messages, and was not told yet
  bool others_change_ = false;  // another has changed the selected mailbox, and it was not told yet
  bool ended_ = false;
  bool said_bye_ = false;
  bool given_back_ = false;
  bool running_ = false;
  bool idling_ = false;
  bool warned_of_quota_ = false;
  bool compress_next_ = false;
  uint64_t viewed_ = 0;  // see count_viewed()
  unsigned bad_in_a_row_ = 0;
  std::chrono::steady_clock::time_point last_input_ = Loop::now();
  std::chrono::steady_clock::time_point last_told_{};  // something, in IDLE
  uint64_t commands_ = 0;
  std::string tag_in_work_;
  std::chrono::steady_clock::time_point progress_told_{};  // or the command's beginning
};

}  // namespace rims::imapd
