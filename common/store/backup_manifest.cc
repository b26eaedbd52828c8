// common/store/backup_manifest.cc - the manifest as JSON

#include "common/store/backup_manifest.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/base/json.h"

namespace rims::store {
namespace {

constexpr std::string_view kSum = ",\n  \"sha256\": \"";
constexpr std::string_view kEnd = "\"\n}\n";

std::string hex(const Id& id) {
  return to_hex({reinterpret_cast<const char*>(id.data()), id.size()});
}

bool read_id(const Json& json, Id& id) {
  const auto bytes = from_hex(json.text());
  if (!bytes || bytes->size() != id.size()) return false;
  memcpy(id.data(), bytes->data(), id.size());
  return true;
}

Json to_json(const BackupSegment& s) {
  Json::List damages;
  for (const auto& d : s.damages)
    damages.emplace_back(Json::Object{
        {"offset", Json(d.offset)}, {"length", Json(d.length)}, {"what", Json(d.what)}});
  return Json(Json::Object{{"number", Json(s.number)},
                           {"id", Json(hex(s.id))},
                           {"source_id", Json(hex(s.source_id))},
                           {"size", Json(s.size)},
                           {"sha256", Json(to_hex(s.sha256))},
                           {"from", Json(s.from)},
                           {"to", Json(s.to)},
                           {"records", Json(s.records)},
                           {"sealed", Json(s.sealed)},
                           {"damaged", Json(std::move(damages))}});
}

std::optional<BackupSegment> segment_of(const Json& json) {
  BackupSegment s;
  const auto number = json["number"].number();
  const auto sum = from_hex(json["sha256"].text());
  if (number <= 0 || number > UINT32_MAX || !read_id(json["id"], s.id) ||
      !read_id(json["source_id"], s.source_id) || json["size"].number() < 0 || !sum ||
      sum->size() != 32 || !json["sealed"].is<bool>())
    return std::nullopt;
  s.number = static_cast<uint32_t>(number);
  s.size = static_cast<uint64_t>(json["size"].number());
  s.sha256 = *sum;
  s.from = static_cast<uint64_t>(json["from"].number());
  s.to = static_cast<uint64_t>(json["to"].number());
  s.records = static_cast<uint64_t>(json["records"].number());
  s.sealed = json["sealed"].boolean();
  for (const auto& d : json["damaged"].list())
    s.damages.push_back({static_cast<uint64_t>(d["offset"].number()),
                         static_cast<uint64_t>(d["length"].number()), d["what"].text()});
  return s;
}

}  // namespace

std::string utc_text(int64_t time) {
  const auto seconds = static_cast<time_t>(time);
  tm parts{};
  char text[64];
  if (!gmtime_r(&seconds, &parts) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
    return fmt::format("{}", time);
  return text;
}

std::string encode(const BackupManifest& m) {
  Json::List segments;
  for (const auto& s : m.segments) segments.push_back(to_json(s));
  Json::Object members{
      {"rims_backup", Json(kBackupVersion)},
      {"user", m.user.empty() ? Json() : Json(m.user)},
      {"account", Json(m.account)},
      {"account_id", Json(hex(m.account_id))},
      {"made", Json(m.made)},
      {"made_utc", Json(utc_text(m.made))},
      {"last", Json(Json::Object{{"seq", Json(m.end.seq)},
                                 {"id", Json(hex(m.end.id))},
                                 {"time", Json(m.end.time)},
                                 {"time_utc", m.end.time ? Json(utc_text(m.end.time)) : Json()},
                                 {"segment", Json(m.end.segment)},
                                 {"offset", Json(m.end.offset)}})},
      {"segments", Json(std::move(segments))}};
  if (m.replacing) members.emplace_back("replacing", to_json(*m.replacing));
  std::string text = Json(std::move(members)).dump(true);
  text.resize(text.size() - 2);  // "\n}"
  const std::string sum = to_hex(sha256(text));
  return text.append(kSum).append(sum).append(kEnd);
}

Result<BackupManifest> decode_manifest(std::string_view text, const std::string& name) {
  const auto damaged = [&](std::string_view what) {
    return fail(Fault::storage, "the backup is damaged", fmt::format("{}: {}", name, what));
  };
  // Read first, so that a newer form is told as what it is.
  const auto json = Json::parse(text);
  if (json && (*json)["rims_backup"].number() > kBackupVersion)
    return fail(Fault::storage, "the backup is of a newer version",
                fmt::format("{}: format version {}, this program knows {}: not touched", name,
                            (*json)["rims_backup"].number(), kBackupVersion),
                "VERSION");
  const size_t at = text.rfind(kSum);
  if (at == text.npos ||
      text.substr(at) != fmt::format("{}{}{}", kSum, to_hex(sha256(text.substr(0, at))), kEnd))
    return damaged("its checksum is wrong");
  if (!json) return damaged(json.error().reply());
  BackupManifest m;
  m.user = (*json)["user"].text();
  m.account = (*json)["account"].text();
  m.made = (*json)["made"].number();
  const Json& last = (*json)["last"];
  m.end = {.seq = static_cast<uint64_t>(last["seq"].number()),
           .id = {},
           .time = static_cast<uint32_t>(last["time"].number()),
           .segment = static_cast<uint32_t>(last["segment"].number()),
           .offset = static_cast<uint64_t>(last["offset"].number())};
  if ((*json)["rims_backup"].number() != kBackupVersion ||
      !read_id((*json)["account_id"], m.account_id) || !read_id(last["id"], m.end.id))
    return damaged("a member is missing or wrong");
  for (const auto& one : (*json)["segments"].list()) {
    auto segment = segment_of(one);
    if (!segment || (!m.segments.empty() && segment->number <= m.segments.back().number))
      return damaged("a segment is wrong");
    m.segments.push_back(*std::move(segment));
  }
  if (const Json& replacing = (*json)["replacing"]; replacing.is<Json::Object>()) {
    m.replacing = segment_of(replacing);
    if (!m.replacing) return damaged("a segment is wrong");
  }
  return m;
}

}  // namespace rims::store
