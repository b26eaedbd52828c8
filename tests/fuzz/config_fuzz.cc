// tests/fuzz/config_fuzz.cc - any bytes as config.yml
//
// Properties: a text is either taken or refused with at most 20 lines, each beginning with the
// file's name and none with control bytes; what is taken makes parts that encode and decode.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/config/config.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rims;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = config::parse(text, "f", "/d");
  if (!config) {
    std::string_view reply = config.error().reply();
    check(!reply.empty());
    int lines = 0;
    while (!reply.empty()) {
      const size_t end = reply.find('\n');
      const std::string_view line = reply.substr(0, end);
      check(line.starts_with("f:"));
      for (const char c : line) check(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
      reply.remove_prefix(end == reply.npos ? reply.size() : end + 1);
      lines++;
    }
    check(lines <= 20);
    return 0;
  }
  check(!config->users.empty());
  const auto auth = ipc::decode<config::AuthPart>(ipc::encode(config::auth_part(*config)));
  check(auth && auth->users.value.size() == config->users.size());
  check(ipc::decode<config::LogPart>(ipc::encode(config::log_part(*config))).has_value());
  check(ipc::decode<config::ImapdPart>(ipc::encode(config::imapd_part(*config))).has_value());
  check(ipc::decode<config::DeliverdPart>(ipc::encode(config::deliverd_part(*config))).has_value());
  return 0;
}
