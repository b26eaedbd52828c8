// cli/options.cc - reading options, and listing them for --help

#include "cli/options.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include <sodium.h>

#include "common/base/ascii.h"
#include "common/base/version.h"

namespace rims::cli {
namespace {

std::unexpected<Error> wrong(std::string_view what, std::string_view option) {
  std::string text(what);
  text.append(": ").append(option);
  return fail(Fault::syntax, std::move(text));
}

bool takes_value(const Option& option) {
  return option.kind == OptionKind::value || option.kind == OptionKind::secret;
}

// Calls the option with `value`, which points into the argument list.
Status give(const Option& option, std::string_view shown, char* value) {
  const Status taken = option.take(value);
  if (option.kind == OptionKind::secret) sodium_memzero(value, std::strlen(value));
  if (taken) return {};
  return fail(taken.error().fault(),
              "invalid argument: " + std::string(shown) + ": " + taken.error().reply());
}

}  // namespace

bool is_true(std::string_view value) {
  return value == "true" || value == "yes" || value == "on" || value == "1";
}

OptionParser::OptionParser(std::string usage) : usage_(std::move(usage)) {
  add_flag('h', "help", "Show this message.", help_);
  add_flag(0, "version", "Show the version.", version_);
}

bool OptionParser::answer() const {
  if (help_)
    std::fputs(help().c_str(), stdout);
  else if (version_)
    std::printf("%.*s\n", static_cast<int>(program_version().size()), program_version().data());
  return asked();
}

void OptionParser::add_flag(char letter, std::string name, std::string help, bool& variable) {
  add({letter, std::move(name), OptionKind::flag, "", std::move(help),
       [&variable](std::string_view) -> Status {
         variable = true;
         return {};
       }});
}

void OptionParser::add_negatable(char letter, std::string name, std::string help, bool& variable) {
  add({letter, std::move(name), OptionKind::negatable, "", std::move(help),
       [&variable](std::string_view v) -> Status {
         variable = is_true(v);
         return {};
       }});
}

void OptionParser::add_value(char letter, std::string name, std::string value_name,
                             std::string help, std::string& variable) {
  add({letter, std::move(name), OptionKind::value, std::move(value_name), std::move(help),
       [&variable](std::string_view v) -> Status {
         variable = v;
         return {};
       }});
}

void OptionParser::add_choice(char letter, std::string name, std::string value_name,
                              std::string help, std::vector<std::string> choices,
                              std::string& variable) {
  add({letter, std::move(name), OptionKind::value, std::move(value_name), std::move(help),
       [&variable, choices = std::move(choices)](std::string_view v) -> Status {
         const std::string given(v);
         std::string list;
         for (const std::string& choice : choices) {
           if (ascii::equal(choice, given)) {
             variable = choice;
             return {};
           }
           list += (list.empty() ? "" : ", ") + choice;
         }
         return fail(Fault::syntax, given + " (one of " + list + ")");
       }});
}

Result<OptionParser::Found> OptionParser::find_long(std::string_view name) const {
  Found prefix;
  unsigned prefixes = 0;
  for (const Option& option : options_) {
    const bool two_ways = option.kind == OptionKind::negatable;
    for (const bool negated : {false, true}) {
      if (negated && !two_ways) continue;
      const std::string full = (negated ? "no-" : "") + option.name;
      if (full == name) return Found{&option, negated};
      if (full.starts_with(name) && !option.earlier) {
        prefix = {&option, negated};
        prefixes++;
      }
    }
  }
  const std::string shown = "--" + std::string(name);
  if (prefixes > 1) return wrong("ambiguous option", shown);
  if (prefixes == 0) return wrong("invalid option", shown);
  return prefix;
}

Status OptionParser::long_option(std::span<char*>& args) {
  char* const arg = args.front();
  args = args.subspan(1);
  char* const equals = std::strchr(arg, '=');
  const std::string_view name =
      equals ? std::string_view(arg + 2, equals) : std::string_view(arg + 2);
  TRY(const Found found, find_long(name));
  const std::string shown = "--" + found.option->name;
  if (!takes_value(*found.option)) {
    if (equals) return wrong("needless argument", shown);
    return found.option->take(found.negated ? "false" : "true");
  }
  if (equals) return give(*found.option, shown, equals + 1);
  if (args.empty()) return wrong("missing argument", shown);
  char* const value = args.front();
  args = args.subspan(1);
  return give(*found.option, shown, value);
}

Status OptionParser::short_options(std::span<char*>& args) {
  char* const arg = args.front();
  args = args.subspan(1);
  for (char* at = arg + 1; *at; at++) {
    const std::string shown{'-', *at};
    const auto option = std::ranges::find(options_, *at, &Option::letter);
    if (option == options_.end()) return wrong("invalid option", shown);
    if (!takes_value(*option)) {
      TRY_STATUS(option->take("true"));
      continue;
    }
    if (at[1]) return give(*option, shown, at + 1);
    if (args.empty()) return wrong("missing argument", shown);
    char* const value = args.front();
    args = args.subspan(1);
    return give(*option, shown, value);
  }
  return {};
}

Result<std::vector<std::string>> OptionParser::parse(std::span<char*> args) {
  std::vector<std::string> operands;
  while (true) {
    TRY(args, parse_until_operand(args));
    if (args.empty()) return operands;
    const bool last = std::string_view(args.front()) == "--";
    if (last) args = args.subspan(1);
    while (!args.empty()) {
      operands.emplace_back(args.front());
      args = args.subspan(1);
      if (!last) break;
    }
  }
}

Result<std::span<char*>> OptionParser::parse_until_operand(std::span<char*> args) {
  while (!args.empty()) {
    const std::string_view arg = args.front();
    if (arg == "--" || arg == "-" || !arg.starts_with('-')) break;
    if (arg.starts_with("--")) {
      TRY_STATUS(long_option(args));
    } else {
      TRY_STATUS(short_options(args));
    }
  }
  return args;
}

std::string OptionParser::help() const {
  constexpr size_t kColumn = 32;
  std::string text = "Usage: " + usage_ + "\n";
  for (const Option& option : options_) {
    if (option.earlier) continue;
    std::string left = option.letter ? std::string{'-', option.letter, ',', ' '} : "    ";
    left += option.kind == OptionKind::negatable ? "--[no-]" : "--";
    left += option.name;
    if (takes_value(option)) left += "=" + option.value_name;
    text += "    " + left;
    if (left.size() > kColumn) {
      text += "\n" + std::string(4 + kColumn, ' ');
    } else {
      text.append(kColumn - left.size(), ' ');
    }
    text += " " + option.help + "\n";
  }
  return text;
}

}  // namespace rims::cli
