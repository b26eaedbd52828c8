// cli/options.h - options as the original's command line takes them
//
//   -x, -xVALUE, -x VALUE, -abc (flags together), --name, --no-name, --name=VALUE, --name VALUE,
//   a unique beginning of a long name, "--" as the end of options. Options and operands may be
//   mixed, unless the parser is told that the first operand ends the options (`rims-ctl COMMAND`).
//   Every parser knows -h, --help and --version.
//
// The bytes of a secret's value are overwritten in the argument itself, so that they do not stay
// visible to other users in the list of processes.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace rims::cli {

enum class OptionKind : unsigned char {
  flag,       // --name
  negatable,  // --name and --no-name
  value,      // --name=VALUE
  secret,     // the same, and to be overwritten
};

struct Option {
  char letter = 0;  // 0: only the long name
  std::string name;
  OptionKind kind = OptionKind::flag;
  std::string value_name;  // "FILE"
  std::string help;
  // The value; "true" or "false" for flags. An error's reply is shown after the option's name.
  std::function<Status(std::string_view)> take;
  bool earlier = false;  // of an earlier version: not in the help, and only by its whole name
};

class OptionParser {
 public:
  // `usage`: what stands after "Usage: ".
  explicit OptionParser(std::string usage);
  OptionParser(const OptionParser&) = delete;  // its options refer to it
  OptionParser& operator=(const OptionParser&) = delete;

  void add(Option option) { options_.push_back(std::move(option)); }
  // Shorter forms. The variables must outlive parse().
  void add_flag(char letter, std::string name, std::string help, bool& variable);
  void add_negatable(char letter, std::string name, std::string help, bool& variable);
  void add_value(char letter, std::string name, std::string value_name, std::string help,
                 std::string& variable);
  // One of `choices`, in any case; stored as it stands there.
  void add_choice(char letter, std::string name, std::string value_name, std::string help,
                  std::vector<std::string> choices, std::string& variable);

  // Returns the operands. Error: syntax, with a reply such as "invalid option: --x".
  [[nodiscard]] Result<std::vector<std::string>> parse(std::span<char*> args);
  // The same, but stops at the first operand; returns that operand and all after it, unread.
  [[nodiscard]] Result<std::span<char*>> parse_until_operand(std::span<char*> args);

  // After parsing: was help or the version asked for? answer() prints it to standard output; then
  // the command has nothing else to do.
  [[nodiscard]] bool asked() const { return help_ || version_; }
  [[nodiscard]] bool answer() const;

  [[nodiscard]] std::string help() const;

 private:
  struct Found {
    const Option* option = nullptr;
    bool negated = false;
  };
  [[nodiscard]] Result<Found> find_long(std::string_view name) const;
  Status long_option(std::span<char*>& args);
  Status short_options(std::span<char*>& args);

  std::string usage_;
  bool help_ = false, version_ = false;
  std::vector<Option> options_;
};

// "yes"/"no" values of configuration files as these options understand them.
[[nodiscard]] bool is_true(std::string_view value);

}  // namespace rims::cli
