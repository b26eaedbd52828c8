// tools/print_ipc.cc - prints what the headers of common/ipc say as the tables of doc/ipc.md
// (tools/printed_page.h says how it is called)
//
// The names of messages, fields and enumerators are those of the headers: the compiler spells them
// out in the name of a function that has them as an argument. Nothing is written down twice.

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "common/ipc/links.h"
#include "common/privdrop/process_table.h"
#include "tools/printed_page.h"

namespace {

using namespace rims::ipc;

// "... [T = rims::ipc::Ticket]" -> "Ticket"
constexpr std::string_view last_name(std::string_view function) {
  function.remove_suffix(1);
  const size_t at = function.find_last_of(" :&)");
  return function.substr(at + 1);
}

template <class T>
constexpr std::string_view type_name() {
  return last_name(__PRETTY_FUNCTION__);
}

template <auto Value>
constexpr std::string_view value_name() {
  return last_name(__PRETTY_FUNCTION__);
}

template <class E, size_t... N>
std::vector<std::string_view> enumerators(std::index_sequence<N...>) {
  return {value_name<static_cast<E>(N)>()...};
}

// One overload for each kind of field in wire.h.
template <class E>
  requires std::is_enum_v<E>
std::string kind(const E*) {
  std::string names;
  const auto all = enumerators<E>(std::make_index_sequence<static_cast<size_t>(E::last) + 1>());
  for (size_t i = 0; i < all.size(); i++) {
    if (i != 0) names += i + 1 == all.size() ? " or " : ", ";
    names += all[i];
  }
  return names;
}
std::string kind(const bool*) { return "true or false"; }
template <class T>
  requires std::is_integral_v<T>
std::string kind(const T*) {
  return fmt::format("{}integer of {} bytes", std::is_signed_v<T> ? "signed " : "", sizeof(T));
}
std::string kind(const uint8_t*) { return "one byte"; }
template <size_t Min, size_t Max>
std::string kind(const Text<Min, Max>*) {
  return Min == 0 ? fmt::format("text, up to {} bytes", Max)
                  : fmt::format("text, {} to {} bytes", Min, Max);
}
template <size_t Max>
std::string kind(const Sealed<Max>*) {
  return fmt::format("secret, up to {} bytes", Max);
}

template <class T, size_t Max>
std::string kind(const List<T, Max>*) {
  return fmt::format("list, up to {}: {}", Max, kind(static_cast<const T*>(nullptr)));
}

std::string line(std::string_view name, std::string_view what) {
  return fmt::format("    {:<16}{}\n", name, what);
}

template <class Message, size_t N>
std::string field() {
  constexpr auto member = std::get<N>(Message::kFields);
  using Type = std::remove_cvref_t<decltype(std::declval<Message&>().*member)>;
  return line(value_name<member>(), kind(static_cast<const Type*>(nullptr)));
}

template <class Message>
std::string message() {
  constexpr size_t size = kMaxSize<Message>;
  const std::string out =
      fmt::format("**{}**: {}. Type {}, {}.\n", type_name<Message>(), Message::kAbout,
                  static_cast<int>(Message::kType),
                  size == 0 ? "no fields" : fmt::format("fields of at most {} bytes", size));
  std::string lines;
  [&]<size_t... N>(std::index_sequence<N...>) {
    ((lines += field<Message, N>()), ...);
  }(std::make_index_sequence<std::tuple_size_v<decltype(Message::kFields)>>());
  if constexpr (requires { Message::kFds; })
    for (const char* fd : Message::kFds) lines += line("a descriptor", fd);
  return out + (lines.empty() ? "" : "\n") + lines + "\n";
}

template <class... Message>
std::string messages(std::tuple<Message...>*) {
  return (std::string() + ... + message<Message>());
}

template <class Direction>
std::string section() {
  return fmt::format("### {} to {}\n\nTrusted: {}.\n\n{}", Direction::kFrom, Direction::kTo,
                     Direction::kTrust,
                     messages(static_cast<typename Direction::Messages*>(nullptr)));
}

template <class Enum, class... Message>
constexpr bool said(Enum type, std::tuple<Message...>*) {
  return ((std::is_same_v<Enum, std::remove_const_t<decltype(Message::kType)>> &&
           static_cast<unsigned>(Message::kType) == static_cast<unsigned>(type)) ||
          ...);
}

// The first enumerator of a link's enum of messages that no direction has.
template <class Enum, class... Direction>
std::optional<std::string> unsaid(std::tuple<Direction...>*) {
  std::optional<std::string> found;
  [&]<size_t... N>(std::index_sequence<N...>) {
    const auto look = [&](std::string_view name, Enum type) {
      const bool named = name.find_first_not_of("0123456789") != std::string_view::npos;
      if (named && !(said(type, static_cast<typename Direction::Messages*>(nullptr)) || ...))
        found = name;
    };
    (look(value_name<static_cast<Enum>(N)>(), static_cast<Enum>(N)), ...);
  }(std::make_index_sequence<64>());
  return found;
}

// The direction from one process to another, if there is one.
template <class... Direction>
bool told(std::string_view from, std::string_view to, std::tuple<Direction...>*) {
  return ((std::string_view(Direction::kFrom).contains(from) &&
           std::string_view(Direction::kTo).contains(to)) ||
          ...);
}

template <class... Direction>
std::string sections(std::tuple<Direction...>*) {
  std::string out = (section<Direction>() + ...);
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

// What the lists of the headers lack.
std::optional<std::string> missing() {
  constexpr Directions* all = nullptr;
  for (const auto& name : {unsaid<AuthMsg>(all), unsaid<SessionMsg>(all), unsaid<DeliverMsg>(all),
                           unsaid<LogMsg>(all), unsaid<ControlMsg>(all), unsaid<UsersMsg>(all)})
    if (name) return "nobody may say " + *name;
  for (const auto& edge : rims::privdrop::kEdges) {
    const std::string_view a = role_name(edge.a), b = role_name(edge.b);
    if (!told(a, b, all) && !told(b, a, all))
      return fmt::format("{} and {} have a link, and may say nothing on it", a, b);
  }
  return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto what = missing()) {
    std::fprintf(stderr, "common/ipc/links.h: %s\n", what->c_str());
    return 1;
  }
  return rims::tools::printed_page(argc, argv, "print_ipc",
                                   sections(static_cast<Directions*>(nullptr)));
}
