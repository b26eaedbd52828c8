// tests/imapd/script.cc - reading transcripts, matching lines

#include "tests/imapd/script.h"

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <fmt/format.h>

namespace rims::test {
namespace {

[[noreturn]] void wrong(const std::string& path, int line, std::string_view why) {
  fmt::print(stderr, "{}:{}: {}\n", path, line, why);
  std::abort();
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

Step connection_step(const std::string& path, int number, std::string_view rest) {
  using Kind = Step::Kind;
  Step step;
  step.line = number;
  while (!rest.empty() && std::isdigit(static_cast<unsigned char>(rest[0]))) {
    step.connection = step.connection * 10 + (rest[0] - '0');
    rest.remove_prefix(1);
  }
  if (!take(rest, " ")) wrong(path, number, "expected SP after the connection's number");
  const struct {
    std::string_view word;
    Kind kind;
  } rows[] = {{"<- ", Kind::send_raw},
              {"<= ", Kind::send_slowly},
              {"< ", Kind::send},
              {">~ ", Kind::expect_unordered},
              {"> ", Kind::expect},
              {"open ", Kind::open},
              {"post", Kind::post},
              {"select ", Kind::select},
              {"compress", Kind::compress},
              {"examine ", Kind::examine},
              {"closed", Kind::expect_closed},
              {"close", Kind::close},
              {"<", Kind::send}};
  for (const auto& row : rows) {
    if (!take(rest, row.word)) continue;
    step.kind = row.kind;
    step.text = rest;
    return step;
  }
  wrong(path, number, "unknown step of a connection");
}

Step setup_step(const std::string& path, int number, std::string_view text) {
  using Kind = Step::Kind;
  const struct {
    std::string_view word;
    Kind kind;
  } rows[] = {{"limit ", Kind::limit},     {"mailbox ", Kind::mailbox}, {"message ", Kind::message},
              {"deliver ", Kind::deliver}, {"stop", Kind::stop},        {"restart", Kind::restart}};
  Step step;
  step.line = number;
  for (const auto& row : rows) {
    if (!take(text, row.word)) continue;
    step.kind = row.kind;
    step.text = text;
    return step;
  }
  wrong(path, number, "unknown step");
}

bool tagged(std::string_view line) { return !line.starts_with("* ") && !line.starts_with("+"); }

// `{num:x}` at the start of `text`: its name, or "".
std::string_view number_name(std::string_view text) {
  if (!text.starts_with("{num:")) return {};
  const size_t end = text.find('}');
  return end == std::string_view::npos ? std::string_view() : text.substr(5, end - 5);
}

bool match_from(std::string_view expected, std::string_view actual, bool may_go_on,
                Bindings& bound) {
  while (!expected.empty()) {
    if (take(expected, "{any}")) {
      for (size_t skip = 0; skip <= actual.size(); skip++) {
        Bindings trial = bound;
        if (!match_from(expected, actual.substr(skip), may_go_on, trial)) continue;
        bound = std::move(trial);
        return true;
      }
      return false;
    }
    if (const auto name = number_name(expected); !name.empty()) {
      size_t digits = 0;
      while (digits < actual.size() && std::isdigit(static_cast<unsigned char>(actual[digits])))
        digits++;
      if (digits == 0) return false;
      const std::string value(actual.substr(0, digits));
      const auto [place, fresh] = bound.emplace(name, value);
      if (!fresh && place->second != value) return false;
      actual.remove_prefix(digits);
      expected.remove_prefix(name.size() + 6);
      continue;
    }
    if (actual.empty() || actual[0] != expected[0]) return false;
    actual.remove_prefix(1);
    expected.remove_prefix(1);
  }
  return actual.empty() || (may_go_on && actual[0] == ' ');
}

}  // namespace

std::vector<Step> read_script(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) wrong(path, 0, "cannot be read");
  std::vector<Step> steps;
  std::string line;
  for (int number = 1; std::getline(in, line); number++) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '|') {
      if (steps.empty() || steps.back().kind != Step::Kind::message)
        wrong(path, number, "a line of a message without a message");
      steps.back().body.push_back(line.size() > 2 ? line.substr(2) : "");
      continue;
    }
    const bool digit = std::isdigit(static_cast<unsigned char>(line[0])) != 0;
    steps.push_back(digit ? connection_step(path, number, line) : setup_step(path, number, line));
  }
  return steps;
}

bool matches(std::string_view expected, std::string_view actual, Bindings& bound) {
  Bindings trial = bound;
  if (!match_from(expected, actual, tagged(expected), trial)) return false;
  bound = std::move(trial);
  return true;
}

std::string substitute(std::string_view text, const Bindings& bound) {
  std::string out;
  while (!text.empty()) {
    const auto name = number_name(text);
    const auto value = bound.find(std::string(name));
    if (!name.empty() && value != bound.end()) {
      out += value->second;
      text.remove_prefix(name.size() + 6);
      continue;
    }
    out += text[0];
    text.remove_prefix(1);
  }
  return out;
}

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    switch (text[++i]) {
      case 'r':
        out += '\r';
        break;
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case '\\':
        out += '\\';
        break;
      case 'x':
        out += static_cast<char>(
            std::strtoul(std::string(text.substr(i + 1, 2)).c_str(), nullptr, 16));
        i += 2;
        break;
      default:
        out += '\\';
        out += text[i];
    }
  }
  return out;
}

std::string escape(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\r')
      out += "\\r";
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

}  // namespace rims::test
