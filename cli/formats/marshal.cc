// cli/formats/marshal.cc - Ruby's Marshal format, one byte of type before each value

#include "cli/formats/marshal.h"

#include <algorithm>
#include <deque>

#include <fmt/format.h>

#include "common/message/date.h"

namespace rims::cli {
namespace {

class Parser {
 public:
  Parser(std::string_view in, const MarshalLimits& limits) : in_(in), limits_(limits) {}

  Result<MarshalRef> whole() {
    TRY(const uint8_t major, byte());
    TRY(const uint8_t minor, byte());
    if (major != 4 || minor > 8)
      return error(fmt::format("format {}.{} is not 4.8 or older", major, minor), 0);
    TRY(const auto* root, value(0));
    if (at_ != in_.size()) return error("bytes after the value", at_);
    return MarshalRef(made_, root);
  }

 private:
  [[nodiscard]] static std::unexpected<Error> error(const std::string& what, size_t at) {
    return fail(Fault::syntax, fmt::format("offset {}: {}", at, what));
  }

  Result<uint8_t> byte() {
    if (at_ >= in_.size()) return error("the data ends", at_);
    return static_cast<uint8_t>(in_[at_++]);
  }

  // A small number: in the byte itself, or in as many bytes as it says.
  Result<int32_t> number() {
    const size_t start = at_;
    TRY(const uint8_t first, byte());
    const auto c = static_cast<int8_t>(first);
    if (c == 0) return 0;
    if (c > 4) return c - 5;
    if (c < -4) return c + 5;
    const unsigned count = static_cast<unsigned>(c < 0 ? -c : c);
    uint32_t value = c < 0 ? UINT32_MAX : 0;
    for (unsigned i = 0; i < count; i++) {
      TRY(const uint8_t b, byte());
      value = (value & ~(uint32_t{0xff} << (8 * i))) | (uint32_t{b} << (8 * i));
    }
    if ((c > 0) != (value <= INT32_MAX)) return error("a number is too large", start);
    return static_cast<int32_t>(value);
  }

  Result<size_t> length() {
    const size_t start = at_;
    TRY(const int32_t n, number());
    // Each item that is counted takes one byte at least.
    if (n < 0 || static_cast<size_t>(n) > in_.size() - at_)
      return error(fmt::format("a length of {} where {} bytes are left", n, in_.size() - at_),
                   start);
    return static_cast<size_t>(n);
  }

  Result<std::string> bytes() {
    TRY(const size_t n, length());
    std::string text(in_.substr(at_, n));
    at_ += n;
    return text;
  }

  Result<std::string> symbol() {
    const size_t start = at_;
    TRY(const uint8_t type, byte());
    return symbol_of(type, start);
  }

  Result<std::string> symbol_of(uint8_t type, size_t start) {
    if (type == ':') {
      TRY(auto text, bytes());
      symbols_.push_back(text);
      return text;
    }
    if (type == ';') {
      TRY(const int32_t n, number());
      if (n < 0 || static_cast<size_t>(n) >= symbols_.size())
        return error("a link to a symbol that is not there", start);
      return symbols_[static_cast<size_t>(n)];
    }
    if (type == 'I') {  // a symbol that names its encoding
      TRY(const uint8_t inner, byte());
      if (inner != ':') return error("a symbol is expected", start);
      TRY(auto text, bytes());
      symbols_.push_back(text);
      TRY(const size_t n, length());
      for (size_t i = 0; i < n; i++) {
        TRY([[maybe_unused]] const auto name, symbol());
        TRY([[maybe_unused]] const auto* skipped, value(depth_of_symbol_));
      }
      return text;
    }
    return error("a symbol is expected", start);
  }

  Status ivars(MarshalValue& of, unsigned depth) {
    TRY(const size_t n, length());
    for (size_t i = 0; i < n; i++) {
      TRY(auto name, symbol());
      TRY(const auto* inner, value(depth + 1));
      of.ivars.emplace_back(std::move(name), inner);
    }
    return {};
  }

  MarshalValue* make(MarshalKind kind) {
    made_->push_back({.kind = kind});
    return &made_->back();
  }

  // Links name an object by its number, which it gets where it begins.
  size_t reserve() {
    objects_.push_back(nullptr);
    return objects_.size() - 1;
  }

  Result<MarshalValue*> value(unsigned depth) { return value_with(depth, false); }

  // `with_ivars`: an 'I' came before, so instance variables follow the value's bytes; the branch of
  // the type reads them.
  Result<MarshalValue*> value_with(unsigned depth, bool with_ivars) {
    const size_t start = at_;
    if (depth > limits_.depth) return error("values are nested too deeply", start);
    if (++values_ > limits_.values) return error("too many values", start);
    TRY(const uint8_t type, byte());
    switch (type) {
      case '0':
        return make(MarshalKind::nil);
      case 'T':
      case 'F': {
        auto* v = make(MarshalKind::boolean);
        v->integer = type == 'T' ? 1 : 0;
        return v;
      }
      case 'i': {
        auto* v = make(MarshalKind::integer);
        TRY(v->integer, number());
        return v;
      }
      case 'l':
        return bignum(start);
      case ':':
      case ';': {
        auto* v = make(MarshalKind::symbol);
        TRY(v->text, symbol_of(type, start));
        return v;
      }
      case 'I': {
        if (at_ < in_.size() && in_[at_] == ':') {
          auto* v = make(MarshalKind::symbol);
          depth_of_symbol_ = depth + 1;
          TRY(v->text, symbol_of('I', start));
          return v;
        }
        return value_with(depth + 1, true);
      }
      case '"':
      case 'f': {
        auto* v = make(type == '"' ? MarshalKind::string : MarshalKind::real);
        const size_t number = reserve();
        TRY(v->text, bytes());
        objects_[number] = v;
        if (with_ivars) {
          TRY_STATUS(ivars(*v, depth));
        }
        return v;
      }
      case '[': {
        auto* v = make(MarshalKind::array);
        const size_t number = reserve();
        TRY(const size_t n, length());
        for (size_t i = 0; i < n; i++) {
          TRY(const auto* item, value(depth + 1));
          v->items.push_back(item);
        }
        objects_[number] = v;
        if (with_ivars) {
          TRY_STATUS(ivars(*v, depth));
        }
        return v;
      }
      case '{':
      case '}': {
        auto* v = make(MarshalKind::hash);
        const size_t number = reserve();
        TRY(const size_t n, length());
        for (size_t i = 0; i < 2 * n; i++) {
          TRY(const auto* item, value(depth + 1));
          v->items.push_back(item);
        }
        if (type == '}') {  // the default for keys that it lacks
          TRY([[maybe_unused]] const auto* skipped, value(depth + 1));
        }
        objects_[number] = v;
        if (with_ivars) {
          TRY_STATUS(ivars(*v, depth));
        }
        return v;
      }
      case 'o': {
        auto* v = make(MarshalKind::object);
        const size_t number = reserve();
        TRY(v->type, symbol());
        TRY_STATUS(ivars(*v, depth));
        objects_[number] = v;
        return v;
      }
      case 'u': {
        auto* v = make(MarshalKind::user_data);
        TRY(v->type, symbol());
        TRY(v->text, bytes());
        if (with_ivars) {
          TRY_STATUS(ivars(*v, depth));
        }
        objects_[reserve()] = v;  // numbered only after its variables
        return v;
      }
      case 'C': {  // a subclass of String, Array or Hash
        TRY(auto name, symbol());
        TRY(auto* v, value_with(depth + 1, with_ivars));
        v->type = std::move(name);
        return v;
      }
      case '@': {
        TRY(const int32_t n, number());
        if (n < 0 || static_cast<size_t>(n) >= objects_.size())
          return error("a link to a value that is not there", start);
        if (!objects_[static_cast<size_t>(n)]) return error("a value that holds itself", start);
        return objects_[static_cast<size_t>(n)];
      }
      default:
        return error(fmt::format("a value of type 0x{:02x}, which is not understood", type), start);
    }
  }

  Result<MarshalValue*> bignum(size_t start) {
    auto* v = make(MarshalKind::integer);
    TRY(const uint8_t sign, byte());
    TRY(const size_t shorts, length());
    if ((sign != '+' && sign != '-') || shorts > 4 || 2 * shorts > in_.size() - at_)
      return error("an integer beyond 64 bits", start);
    uint64_t n = 0;
    for (size_t i = 0; i < 2 * shorts; i++) {
      TRY(const uint8_t b, byte());
      n |= uint64_t{b} << (8 * i);
    }
    if (n > INT64_MAX) return error("an integer beyond 64 bits", start);
    v->integer = sign == '-' ? -static_cast<int64_t>(n) : static_cast<int64_t>(n);
    objects_[reserve()] = v;
    return v;
  }

  std::string_view in_;
  MarshalLimits limits_;
  size_t at_ = 0, values_ = 0;
  unsigned depth_of_symbol_ = 0;
  std::vector<std::string> symbols_;
  // Owns every value, because links may form cycles, and chains of any length.
  std::shared_ptr<std::deque<MarshalValue>> made_ = std::make_shared<std::deque<MarshalValue>>();
  std::vector<MarshalValue*> objects_;  // nullptr: one that has only begun
};

uint32_t little_endian(std::string_view bytes) {
  uint32_t n = 0;
  for (size_t i = 4; i-- > 0;) n = n << 8 | static_cast<uint8_t>(bytes[i]);
  return n;
}

}  // namespace

const MarshalValue* MarshalValue::ivar(std::string_view name) const {
  for (const auto& [key, inner] : ivars) {
    if (key == name) return inner;
  }
  return nullptr;
}

Result<MarshalRef> read_marshal(std::string_view bytes, const MarshalLimits& limits) {
  return Parser(bytes, limits).whole();
}

Result<MarshalTime> marshal_time(const MarshalValue& value) {
  if (value.kind != MarshalKind::user_data || value.type != "Time" || value.text.size() < 8)
    return fail(Fault::syntax, "not a time");
  const uint32_t p = little_endian(value.text), s = little_endian(value.text.substr(4));
  MarshalTime t;
  if ((p & 0x8000'0000U) == 0) {  // the old form: seconds and microseconds
    t.seconds = static_cast<int32_t>(p);
  } else {
    message::DateTime utc;
    utc.year = 1900 + static_cast<int>(p >> 14 & 0xffff);
    utc.month = 1 + static_cast<int>(p >> 10 & 0xf);
    utc.day = static_cast<int>(p >> 5 & 0x1f);
    utc.hour = static_cast<int>(p & 0x1f);
    utc.minute = static_cast<int>(s >> 26 & 0x3f);
    utc.second = static_cast<int>(s >> 20 & 0x3f);
    if (utc.year > 9999 || utc.month > 12 || utc.day < 1 || utc.day > 31 || utc.hour > 24 ||
        utc.minute > 59 || utc.second > 60)
      return fail(Fault::syntax, "not a valid time");
    t.seconds = utc.utc_seconds();
  }
  if (const auto* offset = value.ivar("offset");
      offset && offset->kind == MarshalKind::integer && std::abs(offset->integer) < 86'400)
    t.zone = static_cast<int16_t>(offset->integer / 60);
  return t;
}

Result<std::vector<int64_t>> marshal_numbers(const MarshalValue& value) {
  std::vector<int64_t> numbers;
  const MarshalValue* from = &value;
  if (value.kind == MarshalKind::object) {
    from = value.ivar("@hash");
    if (value.type != "Set" || !from || from->kind != MarshalKind::hash)
      return fail(Fault::syntax, "not a set");
  } else if (value.kind != MarshalKind::array) {
    return fail(Fault::syntax, "not a set");
  }
  const size_t step = from->kind == MarshalKind::hash ? 2 : 1;
  for (size_t i = 0; i < from->items.size(); i += step) {
    if (from->items[i]->kind != MarshalKind::integer)
      return fail(Fault::syntax, "a set of something else than numbers");
    numbers.push_back(from->items[i]->integer);
  }
  return numbers;
}

}  // namespace rims::cli
