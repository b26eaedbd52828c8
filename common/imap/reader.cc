// common/imap/reader.cc - lines and literals to whole commands
//
//   States        text -> literal -> text ... -> offered; a refusal goes by skip_line and
//   skip_literal
//                 back to text; dead is the end
//   Bound         text_ by line_bytes, literals_ by count, sum and message_bytes, tail_ by
//   kMarkerMax.
//                 The skipping states keep nothing
//   Linear        each byte is searched for LF once and copied at most once (twice the first
//                 kFirstReserve of a larger literal); a line's end looks at kMarkerMax bytes

#include "common/imap/reader.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/imap/chars.h"

namespace rims::imap {
namespace {

// "{" 20 digits "+}" CRLF is the longest marker whose number means anything.
constexpr size_t kMarkerMax = 32;
// Tag and name of any command that there is, and more.
constexpr size_t kStart = kMaxTag + 64;
// Kept by an idle reader; more goes back to the allocator.
constexpr size_t kKeepText = 2048;
// What a literal gets before its first byte has come. The rest follows with the bytes: a
// number alone costs us nothing.
constexpr size_t kFirstReserve = 64 * 1024;
// All messages of one APPEND, where a single one may not have more.
constexpr uint64_t kMessagesSum = uint64_t{32} << 20;

// How many literals stand before the messages of an APPEND or REPLACE whose text so far is `text`;
// nullopt when it is neither. Only the mailbox name can be one.
std::optional<size_t> literals_before_message(std::string_view text) {
  const std::string_view tag = leading_tag(text);
  if (tag.empty()) return std::nullopt;
  const auto skip_spaces = [&] {
    while (text.starts_with(' ')) text.remove_prefix(1);
  };
  const auto take = [&](std::string_view word) {
    if (text.size() <= word.size() || !ascii::equal(text.substr(0, word.size()), word) ||
        text[word.size()] != ' ')
      return false;
    text.remove_prefix(word.size());
    skip_spaces();
    return true;
  };
  text.remove_prefix(tag.size());
  skip_spaces();
  if (!take("APPEND")) {
    [[maybe_unused]] const bool by_uid = take("UID");
    if (!take("REPLACE")) return std::nullopt;
    const size_t number = text.find(' ');
    if (number == std::string_view::npos) return std::nullopt;
    text.remove_prefix(number);
    skip_spaces();
  }
  return text.starts_with('{') ? 1 : 0;
}

// A command that begins with `text`, of which the name must be there; `name` with its space.
bool is_command(std::string_view text, std::string_view name) {
  const std::string_view tag = leading_tag(text);
  if (tag.empty()) return false;
  text.remove_prefix(tag.size());
  while (text.starts_with(' ')) text.remove_prefix(1);
  return ascii::equal(text.substr(0, name.size()), name);
}

// No password is in it.
bool is_id(std::string_view text) { return is_command(text, "ID "); }

Error too_big(const char* what) { return {Fault::limit, what, {}, "TOOBIG"}; }

}  // namespace

ReaderLimits limits_before_login() {
  return {.line_bytes = 8 * 1024,
          .literal_bytes = 4096,
          .literal_sum = 8 * 1024,
          .literal_count = 8,
          .message_bytes = 0,
          .non_sync_bytes = 4096,
          .skip_bytes = 64 * 1024,
          .wipe = true};
}

ReaderLimits limits_after_login(uint32_t line_size_max, uint64_t message_size_max,
                                uint32_t annotation_size_max) {
  ReaderLimits limits;
  limits.line_bytes = line_size_max;
  limits.literal_bytes = line_size_max;
  limits.annotation_bytes = annotation_size_max;
  limits.literal_sum = line_size_max > UINT32_MAX / 2 ? UINT32_MAX : 2 * line_size_max;
  // RFC 3501 §9: a literal's size is a 32-bit number.
  limits.message_bytes = std::min<uint64_t>(message_size_max, UINT32_MAX);
  limits.messages_sum = kMessagesSum;
  limits.skip_bytes = std::max(limits.skip_bytes, 4 * limits.message_bytes);
  return limits;
}

Reader::Reader(const ReaderLimits& limits, const ParserLimits& parser_limits)
    : limits_(limits), parser_limits_(parser_limits) {}

Reader::~Reader() { forget(); }

void Reader::forget() {
  if (limits_.wipe) {
    wipe(text_);
    for (std::string& literal : literals_) wipe(literal);
  }
  text_.clear();
  if (text_.capacity() > kKeepText) std::string().swap(text_);
  if (literals_.capacity() > 0) std::vector<std::string>().swap(literals_);
  whole_ = {};
  literal_left_ = literal_sum_ = messages_sum_ = skipped_ = 0;
  tail_.clear();
  offered_ = false;
}

void Reader::reset() {
  forget();
  expecting_line_ = false;
  if (state_ == State::dead) return;
  refusal_.reset();
  refused_tag_.clear();
  state_ = State::text;
}

bool Reader::idle() const {
  return state_ == State::text && !offered_ && text_.empty() && literals_.empty();
}

size_t Reader::held() const {
  size_t sum = text_.capacity() + tail_.capacity() + literals_.capacity() * sizeof(std::string);
  for (const std::string& literal : literals_) sum += literal.capacity();
  return sum;
}

std::string_view Reader::tag() const {
  const std::string_view tag = leading_tag(whole_);
  return tag.empty() ? "*" : tag;
}

Result<Command> Reader::take() {
  Result<Command> command = parse_command(whole_, literals_, parser_limits_);
  refused_saving_ = !command && saves_result(whole_);
  return command;
}

Reader::Event Reader::next(std::string_view& input) {
  if (offered_) forget();
  for (;;) {
    std::optional<Event> event;
    switch (state_) {
      case State::text:
        event = read_text(input);
        break;
      case State::literal:
        event = read_literal(input);
        break;
      case State::skip_line:
        event = skip_line(input);
        break;
      case State::skip_literal:
        event = skip_literal(input);
        break;
      case State::dead:
        event = Event::fatal;
        break;
    }
    if (event) return *event;
  }
}

std::optional<Reader::Event> Reader::read_text(std::string_view& input) {
  if (input.empty()) return Event::need_more;
  const size_t lf = input.find('\n');
  const std::string_view piece = input.substr(0, lf == input.npos ? lf : lf + 1);
  const size_t size = text_.size() + piece.size();
  if (size > limits_.line_bytes && !(size <= limits_.id_bytes && is_id(start_with(piece)))) {
    // Nothing of the piece is taken: it is skipped.
    std::string start = start_with(piece);
    skip_literals_ = !expecting_line_;
    // A line of the caller's asking has no tag in it.
    const Event event = refuse(expecting_line_ ? "" : std::string_view(start),
                               {Fault::syntax, "the line is too long", {}, "TOOBIG"});
    if (limits_.wipe) wipe(start);
    expecting_line_ = false;
    state_ = State::skip_line;
    return event;
  }
  input.remove_prefix(piece.size());
  if (lf == input.npos) {
    // A password must not stay behind in a buffer that was outgrown.
    if (limits_.wipe && text_.empty()) text_.reserve(limits_.line_bytes);
    text_ += piece;
    return Event::need_more;
  }
  if (text_.empty()) return line_complete(piece);
  text_ += piece;
  return line_complete(text_);
}

// Tag and name of a command whose text goes on with `piece`: they may have come in pieces.
std::string Reader::start_with(std::string_view piece) const {
  std::string start = text_.substr(0, kStart);
  start += piece.substr(0, kStart - start.size());
  return start;
}

// `line` is the whole text so far with its line end; in text_ or in the caller's bytes. A LF alone
// ends a line as well: people type commands into tools that send no CR.
std::optional<Reader::Event> Reader::line_complete(std::string_view line) {
  line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (expecting_line_) {
    expecting_line_ = false;
    offered_ = true;
    whole_ = line;
    return Event::line;
  }
  if (line.empty()) {  // between commands: harmless, some clients end a literal so
    text_.clear();
    return std::nullopt;
  }
  if (const auto marker = literal_marker(line)) return literal_announced(line, *marker);
  offered_ = true;
  whole_ = line;
  return Event::command;
}

std::optional<Reader::Marker> Reader::literal_marker(std::string_view line) {
  if (!line.ends_with('}')) return std::nullopt;
  Marker marker;
  size_t end = line.size() - 1;
  if (end > 0 && line[end - 1] == '+') {
    marker.synchronizing = false;
    end--;
  }
  size_t from = end;
  while (from > 0 && end - from < kMarkerMax && is(line[from - 1], kDigit)) from--;
  if (from == end || from == 0 || line[from - 1] != '{') return std::nullopt;
  for (size_t i = from; i < end; i++) {
    const auto digit = static_cast<uint64_t>(line[i] - '0');
    // Beyond any limit stays beyond any limit.
    marker.size = marker.size > UINT64_MAX / 16 ? marker.size : marker.size * 10 + digit;
  }
  marker.at = from - 1;
  return marker;
}

std::optional<Reader::Event> Reader::literal_announced(std::string_view line,
                                                       const Marker& marker) {
  const std::optional<size_t> before_message =
      limits_.message_bytes > 0 ? literals_before_message(line) : std::nullopt;
  const bool message = before_message && literals_.size() >= *before_message;

  const bool id = is_id(line);
  const uint32_t count = std::max(limits_.literal_count, id ? limits_.id_literals : 0);
  const bool annotates = is_command(line, "SETMETADATA ");
  const uint64_t one = std::max(limits_.literal_bytes, annotates ? limits_.annotation_bytes : 0);
  // One that is as long as it may be, and what else there is.
  const uint64_t sum = uint64_t{std::max(limits_.literal_sum, id ? limits_.id_bytes : 0)} +
                       (annotates ? limits_.annotation_bytes : 0);

  std::optional<Error> why;
  if (!message && literals_.size() >= count) {
    why = too_big("too many literals in one command");
  } else if (message ? marker.size > limits_.message_bytes : marker.size > one) {
    why = too_big(message ? "the message is too big" : "the literal is too big");
    if (annotates)
      why.emplace(Fault::limit, "the value of an annotation is too big", std::string(),
                  "METADATA MAXSIZE " + std::to_string(limits_.annotation_bytes));
  } else if (!message && marker.size > sum - literal_sum_) {
    why = too_big("the literals of the command are too big");
  } else if (message &&
             marker.size > std::max(limits_.messages_sum, limits_.message_bytes) - messages_sum_) {
    why = too_big("the messages of the command are too big");
  } else if (!marker.synchronizing && marker.size > limits_.non_sync_bytes) {
    why = Error(Fault::syntax, "the non-synchronizing literal is too big", {}, "TOOBIG");
  }
  if (why) {
    const Event event = refuse(line, *std::move(why));
    // A client that waits for "+" takes the refusal and sends neither literal nor the rest
    // (RFC 3501 §7.5); one that does not wait sends both, and none of it is a command.
    if (marker.synchronizing) return event;
    skip_literals_ = true;
    literal_left_ = marker.size;
    state_ = State::skip_literal;
    return may_skip(marker.size) ? event : Event::fatal;
  }

  if (text_.empty()) {
    if (limits_.wipe) text_.reserve(limits_.line_bytes);
    text_ = line;
  } else {
    text_.resize(line.size());
  }
  text_ += "\r\n";
  (message ? messages_sum_ : literal_sum_) += marker.size;
  literal_left_ = marker.size;
  literals_.emplace_back().reserve(std::min<uint64_t>(marker.size, kFirstReserve));
  state_ = State::literal;
  return marker.synchronizing ? std::optional(Event::go_ahead) : std::nullopt;
}

std::optional<Reader::Event> Reader::read_literal(std::string_view& input) {
  std::string& literal = literals_.back();
  const size_t count = std::min<uint64_t>(literal_left_, input.size());
  if (literal.size() + count > literal.capacity()) literal.reserve(literal.size() + literal_left_);
  literal += input.substr(0, count);
  input.remove_prefix(count);
  literal_left_ -= count;
  if (literal_left_ > 0) return Event::need_more;
  state_ = State::text;
  return std::nullopt;
}

// What is left of the command is not kept; the caller sets the state if there is more to skip.
Reader::Event Reader::refuse(std::string_view text, Error why) {
  const std::string_view tag = leading_tag(text);
  refused_tag_ = tag.empty() ? "*" : tag;
  refused_saving_ = saves_result(text);
  refusal_ = std::move(why);
  // Whatever is wrong with what follows, the first thing wrong is its name.
  if (std::string unknown = unknown_command(text); !unknown.empty())
    refusal_.emplace(Fault::syntax, std::move(unknown), "unknown command");
  forget();
  state_ = State::text;
  return Event::refused;
}

bool Reader::may_skip(uint64_t bytes) {
  if (bytes <= limits_.skip_bytes - skipped_) {
    skipped_ += bytes;
    return true;
  }
  refusal_ = too_big("too much input");
  refused_tag_ = "*";
  forget();
  state_ = State::dead;
  return false;
}

std::optional<Reader::Event> Reader::skip_line(std::string_view& input) {
  if (input.empty()) return Event::need_more;
  const size_t lf = input.find('\n');
  const std::string_view piece = input.substr(0, lf == input.npos ? lf : lf + 1);
  input.remove_prefix(piece.size());
  if (!may_skip(piece.size())) return Event::fatal;
  tail_ += piece.substr(piece.size() - std::min(piece.size(), kMarkerMax));
  if (tail_.size() > kMarkerMax) tail_.erase(0, tail_.size() - kMarkerMax);
  if (lf == input.npos) return Event::need_more;

  std::string_view line = tail_;
  line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::optional<Marker> marker = skip_literals_ ? literal_marker(line) : std::nullopt;
  tail_.clear();
  if (!marker || marker->synchronizing) {
    state_ = State::text;
    skipped_ = 0;
    return std::nullopt;
  }
  if (!may_skip(marker->size)) return Event::fatal;
  literal_left_ = marker->size;
  state_ = State::skip_literal;
  return std::nullopt;
}

std::optional<Reader::Event> Reader::skip_literal(std::string_view& input) {
  const size_t count = std::min<uint64_t>(literal_left_, input.size());
  input.remove_prefix(count);
  literal_left_ -= count;
  if (literal_left_ > 0) return Event::need_more;
  state_ = State::skip_line;
  return std::nullopt;
}

}  // namespace rims::imap
