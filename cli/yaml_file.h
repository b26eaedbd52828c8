// cli/yaml_file.h - a YAML mapping to look up, for commands that take defaults from a file
//
// The values are not interpreted here.
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

 private:
  struct Document;
  explicit YamlFile(std::unique_ptr<Document> document);
  std::unique_ptr<Document> document_;
};

// A whole file. The error's reply names it.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

}  // namespace rims::cli
