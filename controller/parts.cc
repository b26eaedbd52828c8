// controller/parts.cc - encodes each role's part of the configuration

#include "controller/parts.h"

#include <fmt/core.h>

#include "common/base/secret.h"
#include "common/config/parts.h"
#include "common/imap/capabilities.h"
#include "common/names/names.h"
#include "common/tls/from_config.h"

namespace rims::controller {

Parts::~Parts() {
  for (std::string& part : of) wipe(part);
}
Parts::Parts(Parts&& other) noexcept { of.swap(other.of); }
Parts& Parts::operator=(Parts&& other) noexcept {
  of.swap(other.of);
  return *this;
}

Result<Parts> make_parts(const config::Config& config) {
  TRY_STATUS(names::check(config));
  for (const std::string& text : config.imap_capabilities_disabled)
    if (const Status good = imap::check_disabled_capability(text); !good)
      return fail(Fault::refused, fmt::format("{}imap_capabilities_disabled: {}",
                                              config::where(config, "imap_capabilities_disabled"),
                                              good.error().reply()));
  Parts parts;
  const auto at = [&parts](ipc::Role role) -> std::string& {
    return parts.of[static_cast<size_t>(role)];
  };
  at(ipc::Role::log) = ipc::encode(config::log_part(config));
  at(ipc::Role::auth) = ipc::encode(config::auth_part(config));
  at(ipc::Role::imapd) = ipc::encode(config::imapd_part(config));
  at(ipc::Role::deliverd) = ipc::encode(config::deliverd_part(config));
  TRY(const config::LoginPart login, config::login_part(config));
  // As rims-login will use them: OpenSSL refuses some that can be read, such as short keys.
  if (size_t wrong = 0; !login.certificates.value.empty())
    if (const auto usable = tls::context_of(login, &wrong); !usable) {
      const auto* more = wrong > 0 ? &config.tls_more[wrong - 1] : nullptr;
      return fail(Fault::refused, fmt::format("{}{}: {} cannot be used for TLS: {}",
                                              more ? config::where(config, more->at)
                                                   : config::where(config, "tls.certificate"),
                                              more ? "tls.more: certificate" : "tls.certificate",
                                              more ? more->certificate : config.tls_certificate,
                                              usable.error().reply()));
    }
  at(ipc::Role::login) = ipc::encode(login);
  return parts;
}

std::vector<std::string> needs_restart(const config::Config& old, const config::Config& fresh) {
  std::vector<std::string> keys;
  const auto compare = [&](const char* key, auto member) {
    if (old.*member != fresh.*member) keys.emplace_back(key);
  };
  using config::Config;
  compare("base_dir", &Config::base_dir);
  // rims-log may use the files of one directory.
  if (directory_of(old.log_file) != directory_of(fresh.log_file)) keys.emplace_back("log_file");
  compare("auth.user_directory", &Config::auth_user_directory);
  compare("key_value_store_type", &Config::key_value_store_type);
  compare("use_key_value_store_checksum", &Config::use_key_value_store_checksum);
  compare("imap_host", &Config::imap_host);
  compare("imap_port", &Config::imap_port);
  compare("process_privilege_user", &Config::process_privilege_user);
  compare("process_privilege_group", &Config::process_privilege_group);
  compare("listen.imaps_port", &Config::listen_imaps_port);
  compare("listen.deliver_socket", &Config::listen_deliver_socket);
  compare("listen.deliver_socket_group", &Config::listen_deliver_socket_group);
  compare("listen.deliver_socket_mode", &Config::listen_deliver_socket_mode);
  compare("lmtp.listen", &Config::lmtp_listen);
  compare("storage.expunge_retention", &Config::storage_expunge_retention);
  compare("storage.segment_size", &Config::storage_segment_size);
  compare("processes.imapd_workers", &Config::processes_imapd_workers);
  compare("processes.login_workers", &Config::processes_login_workers);
  compare("processes.io_threads", &Config::processes_io_threads);
  compare("paths.run_dir", &Config::paths_run_dir);
  compare("paths.pid_file", &Config::paths_pid_file);
  return keys;
}

}  // namespace rims::controller
