// cli/pass_hash.cc - rims pass-hash: from a password to its hash, for the configuration
//
//   at a terminal            asks for one password, twice, without echo, and prints its hash
//   a line on standard input  the hash of that line
//   a YAML list               as the original's: [{user: foo, pass: bar}], in a file or on standard
//                             input; printed with `hash` in place of `pass`
//
// Argon2id (RFC 9106) by libsodium. Its cost is fixed (common/password/password.h), so the
// original's
// --stretch-count and --salt-size have no effect.

#include <cstdio>
#include <memory>
#include <unistd.h>

#include <yaml.h>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/yaml_file.h"
#include "common/base/encoding.h"
#include "common/base/secret.h"
#include "common/password/password.h"
#include "deliver/intake.h"

namespace rims::cli {
namespace {

constexpr uint64_t kInputMax = 16 << 20;

std::string_view scalar(const yaml_node_t* node) {
  if (!node || node->type != YAML_SCALAR_NODE) return {};
  return {reinterpret_cast<const char*>(node->data.scalar.value), node->data.scalar.length};
}

int append(void* out, unsigned char* bytes, size_t size) {
  static_cast<std::string*>(out)->append(reinterpret_cast<const char*>(bytes), size);
  return 1;
}

// The list with hashes, or nullopt when `text` is not such a list.
std::optional<Result<std::string>> hash_list(std::string_view text) {
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) return std::nullopt;
  const std::unique_ptr<yaml_parser_t, decltype(&yaml_parser_delete)> owner(&parser,
                                                                            yaml_parser_delete);
  yaml_parser_set_input_string(&parser, reinterpret_cast<const yaml_char_t*>(text.data()),
                               text.size());
  yaml_document_t yaml;
  if (!yaml_parser_load(&parser, &yaml)) return std::nullopt;
  bool live = true;
  const auto forget = [&live](yaml_document_t* d) {
    if (live) yaml_document_delete(d);
  };
  const std::unique_ptr<yaml_document_t, decltype(forget)> document(&yaml, forget);

  const yaml_node_t* root = yaml_document_get_root_node(&yaml);
  if (!root || root->type != YAML_SEQUENCE_NODE) return std::nullopt;
  // Adding nodes moves the array of nodes: look them up by number each time.
  const auto count = root->data.sequence.items.top - root->data.sequence.items.start;
  for (ptrdiff_t i = 0; i < count; i++) {
    const int item = yaml_document_get_root_node(&yaml)->data.sequence.items.start[i];
    const yaml_node_t* entry = yaml_document_get_node(&yaml, item);
    if (!entry || entry->type != YAML_MAPPING_NODE) return std::nullopt;
    yaml_node_pair_t* found = nullptr;
    for (yaml_node_pair_t* p = entry->data.mapping.pairs.start; p < entry->data.mapping.pairs.top;
         p++)
      if (scalar(yaml_document_get_node(&yaml, p->key)) == "pass") found = p;
    if (!found) return fail(Fault::syntax, "not found a `pass' entry.");
    const Secret plain(scalar(yaml_document_get_node(&yaml, found->value)));
    const auto hash = password::make(plain.reveal());
    if (!hash) return fail(Fault::limit, "there is not enough memory");
    const auto add = [&](std::string_view value) {
      return yaml_document_add_scalar(&yaml, nullptr,
                                      reinterpret_cast<const yaml_char_t*>(value.data()),
                                      static_cast<int>(value.size()), YAML_PLAIN_SCALAR_STYLE);
    };
    // Pairs are an array of their own and stay where they are.
    found->key = add("hash");
    found->value = add(*hash);
    yaml_document_get_node(&yaml, item)->data.mapping.style = YAML_BLOCK_MAPPING_STYLE;
  }
  yaml_document_get_root_node(&yaml)->data.sequence.style = YAML_BLOCK_SEQUENCE_STYLE;
  yaml.start_implicit = 0;

  std::string out;
  yaml_emitter_t emitter;
  if (!yaml_emitter_initialize(&emitter)) return fail(Fault::bug, "libyaml does not start");
  const std::unique_ptr<yaml_emitter_t, decltype(&yaml_emitter_delete)> ends(&emitter,
                                                                             yaml_emitter_delete);
  yaml_emitter_set_output(&emitter, append, &out);
  yaml_emitter_set_unicode(&emitter, 1);
  yaml_emitter_set_width(&emitter, -1);
  live = false;  // dumping deletes the document
  if (!yaml_emitter_open(&emitter) || !yaml_emitter_dump(&emitter, &yaml) ||
      !yaml_emitter_close(&emitter))
    return fail(Fault::bug, "libyaml can not write");
  return out;
}

int print_hash(const Secret& password) {
  const auto hash = password::make(password.reveal());
  if (!hash) return complain("pass-hash", "there is not enough memory", kFailed);
  std::printf("%s\n", hash->c_str());
  return kDone;
}

}  // namespace

int pass_hash(std::span<char*> args) {
  std::string type, stretch, salt;
  OptionParser parser(
      "rims pass-hash [options] [passwd_plain.yml]\n"
      "Example\n"
      "  $ rims pass-hash\n"
      "  Password:\n"
      "  Again:\n"
      "  $argon2id$v=19$m=19456,t=2,p=1$...\n"
      "  $ rims pass-hash passwd_plain.yml >passwd_hash.yml\n"
      "Options:");
  parser.add_choice(0, "hash-type", "DIGEST", "Password hash type. only ARGON2ID can be chosen.",
                    {"ARGON2ID"}, type);
  parser.add_value(0, "stretch-count", "COUNT", "No effect on ARGON2ID.", stretch);
  parser.add_value(0, "salt-size", "OCTETS", "No effect on ARGON2ID.", salt);
  const auto operands = parser.parse(args);
  if (!operands) return complain("pass-hash", operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->size() > 1) return complain("pass-hash", "too many input files.", kUsage);
  crypto_init();
  if (operands->empty() && isatty(STDIN_FILENO)) {
    const auto password = ask_new_password();
    return password ? print_hash(*password)
                    : complain("pass-hash", password.error().reply(), kFailed);
  }

  auto input = operands->empty() ? deliver::read_to_end(STDIN_FILENO, kInputMax)
                                 : read_file(operands->front());
  if (!input) return complain("pass-hash", input.error().detail(), kFailed);
  const auto list = hash_list(*input);
  if (!list && !operands->empty()) {
    wipe(*input);
    return complain("pass-hash", operands->front() + ": expected a list of user and pass", kFailed);
  }
  std::string_view line(*input);
  line = line.substr(0, line.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  const Secret password(line);
  wipe(*input);
  if (!list)
    return password.empty() ? complain("pass-hash", "the password is empty", kFailed)
                            : print_hash(password);
  if (!*list) return complain("pass-hash", list->error().reply(), kFailed);
  std::fputs((*list)->c_str(), stdout);
  return kDone;
}

}  // namespace rims::cli
