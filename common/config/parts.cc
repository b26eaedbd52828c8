// common/config/parts.cc - which process gets what of the configuration

#include <algorithm>
#include <charconv>
#include <grp.h>
#include <pwd.h>
#include <vector>

#include <fmt/core.h>

#include "common/config/config.h"
#include "common/config/tls_files.h"

namespace rims::config {
namespace {

// The original's logger rotates at 1 MiB when only a count is given, and keeps one old file when
// only a size is given.
constexpr uint64_t kDefaultShiftSize = 1u << 20;
constexpr uint32_t kDefaultShiftCount = 1;

// getgrnam_r() reads a group's members, too, which may be many.
constexpr size_t kAccountBytes = size_t{1} << 20;

ipc::LogLevel level_named(std::string_view name) {
  if (name == "DEBUG") return ipc::LogLevel::debug;
  if (name == "WARN") return ipc::LogLevel::warn;
  if (name == "ERROR") return ipc::LogLevel::error;
  if (name == "FATAL") return ipc::LogLevel::fatal;
  return ipc::LogLevel::info;
}

ipc::LogLevel level(const Config& config) { return level_named(config.log_level); }

uint32_t narrow(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX));
}

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<uint32_t> group_id(const Config& config, std::string_view key, const std::string& name) {
  if (const auto id = number(name)) return *id;
  group entry{};
  group* found = nullptr;
  std::vector<char> names(kAccountBytes);
  if (getgrnam_r(name.c_str(), &entry, names.data(), names.size(), &found) == 0 && found)
    return entry.gr_gid;
  return fail(Fault::not_found,
              fmt::format("{}{}: there is no group \"{}\"", where(config, key), key, name));
}

CapabilityRules capability_rules(const Config& config) {
  CapabilityRules rules;
  for (const std::string& text : config.imap_capabilities_disabled) rules.value.emplace_back(text);
  return rules;
}

}  // namespace

Result<Account> privilege_account(const Config& config) {
  Account account;
  if (const auto id = number(config.process_privilege_user)) {
    account.uid = *id;
  } else {
    passwd entry{};
    passwd* found = nullptr;
    std::vector<char> names(kAccountBytes);
    if (getpwnam_r(config.process_privilege_user.c_str(), &entry, names.data(), names.size(),
                   &found) != 0 ||
        !found) {
      constexpr std::string_view key = "process_privilege_user";
      return fail(Fault::not_found, fmt::format("{}{}: there is no user \"{}\"", where(config, key),
                                                key, config.process_privilege_user));
    }
    account.uid = entry.pw_uid;
  }
  TRY(account.gid, group_id(config, "process_privilege_group", config.process_privilege_group));
  return account;
}

std::vector<std::string> texts(const CapabilityRules& rules) {
  std::vector<std::string> texts;
  for (const CapabilityRule& rule : rules.value) texts.push_back(rule.value);
  return texts;
}

Result<std::optional<uint32_t>> deliver_socket_gid(const Config& config) {
  if (config.listen_deliver_socket_group.empty()) return std::optional<uint32_t>();
  TRY(const uint32_t gid,
      group_id(config, "listen.deliver_socket_group", config.listen_deliver_socket_group));
  return std::optional(gid);
}

LogPart log_part(const Config& config) {
  LogPart part;
  part.level = level(config);
  part.file = config.log_file;
  part.to_stdout = config.log_stdout != "QUIET";
  if (part.to_stdout) part.stdout_level = level_named(config.log_stdout);
  part.shift_size = config.log_shift_size.value_or(0);
  const std::string& age = config.log_shift_age;
  if (age == "daily") {
    part.shift_age = ShiftAge::daily;
  } else if (age == "weekly") {
    part.shift_age = ShiftAge::weekly;
  } else if (age == "monthly") {
    part.shift_age = ShiftAge::monthly;
  } else if (!age.empty()) {
    part.shift_count = number(age).value_or(0);
    if (part.shift_count > 0 && part.shift_size == 0) part.shift_size = kDefaultShiftSize;
  } else if (part.shift_size > 0) {
    part.shift_count = kDefaultShiftCount;
  }
  return part;
}

AuthPart auth_part(const Config& config) {
  AuthPart part;
  part.level = level(config);
  for (const UserEntry& entry : config.users) {
    User user;
    user.name = entry.name;
    user.password.value = entry.password.clone();
    user.hashed = entry.hashed;
    part.users.value.push_back(std::move(user));
  }
  part.delivery_user = config.mail_delivery_user;
  for (const std::string& domain : config.delivery_domains) part.domains.value.emplace_back(domain);
  part.recipient_delimiter = config.delivery_recipient_delimiter;
  part.delay_first_ms = narrow(config.auth_delay_first);
  part.delay_max_ms = narrow(config.auth_delay_max * 1000);
  part.cache_lifetime_s = narrow(config.auth_cache_lifetime);
  part.end_sessions_on_change = config.auth_end_sessions_on_change;
  part.user_directory = config.auth_user_directory;
  part.keep_removed_s = narrow(config.auth_keep_removed_users);
  return part;
}

Result<LoginPart> login_part(const Config& config) {
  LoginPart part;
  part.level = level(config);
  part.hostname = config.hostname;
  if (!config.tls_certificate.empty()) {
    TRY(std::vector<TlsFiles> all, read_tls_files(config));
    for (TlsFiles& files : all) {
      Certificate& certificate = part.certificates.value.emplace_back();
      certificate.chain_pem = std::move(files.certificate_pem);
      certificate.key_pem.value = std::move(files.key_pem);
      certificate.ocsp = std::move(files.ocsp);
    }
  }
  part.tls_min_version = config.tls_min_version == "1.3" ? TlsVersion::v1_3 : TlsVersion::v1_2;
  if (config.auth_plaintext == "always")
    part.plaintext = Plaintext::always;
  else if (config.auth_plaintext == "loopback")
    part.plaintext = Plaintext::loopback;
  else if (config.auth_plaintext == "auto")
    part.plaintext = config.tls_certificate.empty() ? Plaintext::always : Plaintext::loopback;
  // Users of the directory have hashes.
  const bool all_plain =
      !config.users.empty() &&
      std::ranges::none_of(config.users, [](const UserEntry& user) { return user.hashed; });
  part.cram_md5 = config.auth_cram_md5 == "always" || (config.auth_cram_md5 == "auto" && all_plain);
  part.connections_max = narrow(config.limits_connections);
  part.logins_per_address_max = narrow(config.limits_logins_per_address);
  part.login_timeout_s = narrow(config.limits_login_timeout);
  part.login_attempts_max = narrow(config.limits_login_attempts);
  part.capabilities_disabled = capability_rules(config);
  return part;
}

ImapdPart imapd_part(const Config& config) {
  ImapdPart part;
  part.level = level(config);
  part.base_dir = config.base_dir;
  part.key_value_store =
      config.key_value_store_type == "MEMORY" ? KeyValueStoreType::memory : KeyValueStoreType::gdbm;
  part.key_value_checksum = config.use_key_value_store_checksum;
  part.io_threads = narrow(config.processes_io_threads);
  part.inactivity_timeout_s = narrow(config.limits_inactivity_timeout);
  part.idle_notify_interval_s = narrow(config.limits_idle_notify_interval);
  part.progress_interval_ms = narrow(config.limits_progress_interval * 1000);
  part.message_size_max = config.limits_message_size;
  part.line_size_max = narrow(config.limits_line_size);
  part.mailbox_count_max = narrow(config.limits_mailboxes);
  part.mailbox_messages_max = narrow(config.limits_mailbox_messages);
  part.account_messages_max = narrow(config.limits_account_messages);
  part.messages_per_command_max = narrow(config.limits_messages_per_command);
  part.messages_per_save_max = narrow(config.limits_messages_per_save);
  part.keyword_count_max = narrow(config.limits_keywords);
  part.mime_depth_max = narrow(config.limits_mime_depth);
  part.mime_part_max = narrow(config.limits_mime_parts);
  part.sessions_per_user_max = narrow(config.limits_sessions_per_user);
  part.expunge_retention_s = narrow(config.storage_expunge_retention);
  part.free_space_floor_percent = narrow(config.storage_free_space_floor);
  part.free_space_floor_max = config.storage_free_space_floor_max;
  part.segment_bytes = config.storage_segment_size;
  part.duplicate_window_s = narrow(config.delivery_duplicate_window);
  part.quota_bytes = config.quota_storage;
  part.quota_messages = narrow(config.quota_messages);
  part.quota_mailboxes = narrow(config.quota_mailboxes);
  part.reject_over_quota = config.quota_delivery == "reject";
  part.capabilities_disabled = capability_rules(config);
  part.metadata_value_max = narrow(config.limits_metadata_value);
  part.metadata_entries_max = narrow(config.limits_metadata_entries);
  part.metadata_total_max = narrow(config.limits_metadata_total);
  for (const auto& [name, value] : config.metadata_server) {
    ServerEntry entry;
    entry.name = name;
    entry.value = value;
    part.server_entries.value.push_back(std::move(entry));
  }
  return part;
}

DeliverdPart deliverd_part(const Config& config) {
  DeliverdPart part;
  part.level = level(config);
  part.message_size_max = config.limits_message_size;
  part.connections_max = narrow(config.limits_deliver_connections);
  part.hostname = config.hostname;
  for (const std::string& text : config.lmtp_allow) part.lmtp_allow.value.emplace_back(text);
  return part;
}

}  // namespace rims::config
