// cli/yaml_file.h - a YAML mapping to look up and to change, for commands that take a
// configuration and options that win over it
//
// What the values mean is not known here: common/config reads the result.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace rims::cli {

class YamlFile {
 public:
  // Text whose root is a mapping, or nothing at all. `name` is for errors.
  [[nodiscard]] static Result<YamlFile> parse(std::string_view text, const std::string& name);
  YamlFile(YamlFile&&) noexcept;
  YamlFile& operator=(YamlFile&&) noexcept;
  ~YamlFile();

  // The scalar of a key; "section.key" looks into a section.
  [[nodiscard]] std::optional<std::string> get(std::string_view key) const;
  // Replaces or adds a key of the root or of a section that exists. Written as a quoted string
  // unless `plain`.
  void set(std::string_view key, std::string_view value, bool plain = false);
  // The whole as YAML.
  [[nodiscard]] Result<std::string> text();

 private:
  struct Document;
  explicit YamlFile(std::unique_ptr<Document> document);
  std::unique_ptr<Document> document_;
};

// A whole file. The error's reply names it.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

}  // namespace rims::cli
