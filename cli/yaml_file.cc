// cli/yaml_file.cc - libyaml's documents

#include "cli/yaml_file.h"

#include <cerrno>
#include <fcntl.h>
#include <utility>

#include <yaml.h>

#include "common/base/errno_text.h"
#include "common/base/fd.h"

namespace rims::cli {
namespace {

const yaml_char_t* yaml_bytes(std::string_view text) {
  return reinterpret_cast<const yaml_char_t*>(text.data());
}

std::string_view scalar(const yaml_node_t& node) {
  return {reinterpret_cast<const char*>(node.data.scalar.value), node.data.scalar.length};
}

}  // namespace

struct YamlFile::Document {
  yaml_document_t yaml{};
  bool live = false;
  ~Document() {
    if (live) yaml_document_delete(&yaml);
  }
  // The pair of `key` in a mapping, or nullptr.
  yaml_node_pair_t* find(int mapping, std::string_view key) {
    const yaml_node_t* node = yaml_document_get_node(&yaml, mapping);
    if (!node || node->type != YAML_MAPPING_NODE) return nullptr;
    for (yaml_node_pair_t* p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
      const yaml_node_t* k = yaml_document_get_node(&yaml, p->key);
      if (k && k->type == YAML_SCALAR_NODE && scalar(*k) == key) return p;
    }
    return nullptr;
  }
  // The mapping that `key` lives in, and its name there; 0 when the section does not exist.
  std::pair<int, std::string_view> place(std::string_view key) {
    const size_t dot = key.find('.');
    if (dot == std::string_view::npos) return {1, key};
    const yaml_node_pair_t* section = find(1, key.substr(0, dot));
    return {section ? section->value : 0, key.substr(dot + 1)};
  }
};

YamlFile::YamlFile(std::unique_ptr<Document> document) : document_(std::move(document)) {}
YamlFile::YamlFile(YamlFile&&) noexcept = default;
YamlFile& YamlFile::operator=(YamlFile&&) noexcept = default;
YamlFile::~YamlFile() = default;

Result<YamlFile> YamlFile::parse(std::string_view text, const std::string& name) {
  auto document = std::make_unique<Document>();
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) return fail(Fault::bug, "libyaml does not start");
  const std::unique_ptr<yaml_parser_t, decltype(&yaml_parser_delete)> owner(&parser,
                                                                            yaml_parser_delete);
  yaml_parser_set_input_string(&parser, yaml_bytes(text), text.size());
  if (!yaml_parser_load(&parser, &document->yaml)) {
    const yaml_mark_t& at = parser.problem_mark;
    return fail(Fault::syntax, name + ":" + std::to_string(at.line + 1) + ":" +
                                   std::to_string(at.column + 1) + ": " +
                                   (parser.problem ? parser.problem : "not YAML"));
  }
  document->live = true;
  const yaml_node_t* root = yaml_document_get_root_node(&document->yaml);
  if (!root) {
    if (!yaml_document_add_mapping(&document->yaml, nullptr, YAML_BLOCK_MAPPING_STYLE))
      return fail(Fault::bug, "out of memory");
  } else if (root->type != YAML_MAPPING_NODE) {
    return fail(Fault::syntax, name + ": expected keys with values");
  }
  return YamlFile(std::move(document));
}

std::optional<std::string> YamlFile::get(std::string_view key) const {
  const auto [mapping, name] = document_->place(key);
  const yaml_node_pair_t* pair = mapping ? document_->find(mapping, name) : nullptr;
  const yaml_node_t* node = pair ? yaml_document_get_node(&document_->yaml, pair->value) : nullptr;
  if (!node || node->type != YAML_SCALAR_NODE) return std::nullopt;
  return std::string(scalar(*node));
}

Result<std::string> read_file(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string bytes;
  char buffer[64 * 1024];
  ssize_t got = fd ? 0 : -1;
  while (fd && (got = read(fd.get(), buffer, sizeof buffer)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    bytes.append(buffer, static_cast<size_t>(got));
  }
  if (got < 0) return fail(Fault::not_found, path + ": " + errno_text(errno));
  return bytes;
}

}  // namespace rims::cli
