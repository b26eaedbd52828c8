// imapd/main.cc - rims-imapd: holds accounts, serves their owners and takes their mail
//
//   Runs as    process_privilege_user; its row is in common/privdrop/process_table.h
//   Talks to   rims-auth (tickets), rims-login (clients), rims-deliverd (messages), rims-ctl
//   Holds      the base directory, the accounts whose home this worker is, clients' sockets
//   Must not   make or accept a connection, see a password or a TLS key

#include "common/account/store.h"
#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/index/key_value.h"
#include "common/index/memory_key_value.h"
#include "common/mail/trace_fields.h"
#include "common/privdrop/process_table.h"
#include "common/process/child.h"
#include "imapd/imap/protocol.h"
#include "imapd/worker/accounts.h"
#include "imapd/worker/worker.h"

namespace {

using namespace rims;

Task<void> end(Loop& loop, imapd::Worker& worker) {
  co_await worker.stop();
  loop.stop();
}

store::Limits limits_of(const config::ImapdPart& part) {
  store::Limits limits;
  if (part.mailbox_count_max != 0) limits.mailboxes = part.mailbox_count_max;
  if (part.mailbox_messages_max != 0) limits.mailbox_messages = part.mailbox_messages_max;
  if (part.account_messages_max != 0) limits.account_messages = part.account_messages_max;
  if (part.keyword_count_max != 0) limits.keywords = part.keyword_count_max;
  if (part.metadata_value_max != 0) limits.annotation_bytes = part.metadata_value_max;
  if (part.metadata_entries_max != 0) limits.annotations = part.metadata_entries_max;
  if (part.metadata_total_max != 0) limits.annotations_bytes = part.metadata_total_max;
  if (part.message_size_max != 0)
    limits.message_bytes = part.message_size_max + store::kMaxTraceFields;
  limits.quota = imapd::quota_of(part);
  return limits;
}

store::Options options_of(const config::ImapdPart& part, Fd base, store::MemoryKeyValues& memory) {
  store::Options options;
  options.base = std::move(base);
  options.key_value_checksum = part.key_value_checksum;
  options.segment_bytes = part.segment_bytes;
  options.expunge_retention = part.expunge_retention_s;
  options.structure = imapd::mime_limits(part);
  options.limits = limits_of(part);
  if (part.key_value_store == config::KeyValueStoreType::memory) options.key_values = &memory;
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  process::take_arguments(argc, argv, privdrop::kImapdRow);
  log::set_program("rims-imapd");
  crypto_init();

  Loop loop;
  process::Child child(loop, privdrop::kImapdRow);
  process::Start start = child.wait_for_start();
  const auto part = ipc::decode<config::ImapdPart>(start.config);
  if (!part) fatal("rims-imapd: its configuration does not decode");
  log::set_level(static_cast<log::Level>(part->level));
  Result<Fd> base = store::open_base(part->base_dir.value);
  if (!base) fatal("rims-imapd: " + base.error().detail());
  child.enter();

  IoPool pool(loop, part->io_threads);
  store::MemoryKeyValues memory;
  store::Store store(loop, pool, options_of(*part, std::move(*base), memory));
  imapd::Worker worker(loop, pool, store, *part, imapd::imap_protocol());
  const auto attach = [&worker](process::Attached given) {
    if (given.channel == ipc::Channel::admin) return worker.attach_admin(std::move(given.end));
    if (given.channel != ipc::Channel::link) return;
    if (given.peer == ipc::Role::auth) worker.attach_auth(std::move(given.end));
    if (given.peer == ipc::Role::login) worker.attach_login(given.index, std::move(given.end));
    if (given.peer == ipc::Role::deliverd) worker.attach_deliverd(std::move(given.end));
  };
  for (process::Attached& given : start.attached) attach(std::move(given));

  const auto reload = [&worker, &store](std::string bytes) {
    const auto fresh = ipc::decode<config::ImapdPart>(bytes);
    if (!fresh) fatal("rims-imapd: its new configuration does not decode");
    log::set_level(static_cast<log::Level>(fresh->level));
    store.set_limits(limits_of(*fresh));
    worker.reload(*fresh);
  };
  Scope ending(loop);
  const auto stop = [&] {
    if (ending.size() == 0) ending.spawn(end(loop, worker));
  };
  child.ready({.attach = attach, .reload = reload, .stop = stop});
  loop.run();
  return 0;
}
